"""rainbow's settings with a view that does nothing beside the REST API (bare_urls.py)."""

from rainbow_site.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.bare_urls"
