"""rainbow's settings with the stock admin beside the operators' console (stock_urls.py)."""

from rainbow_site.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.stock_urls"
