#!/usr/bin/env python
"""Runs rainbow's management commands."""

import os
import sys

try:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: rainbow's server is not installed for {sys.executable}; `source .venv/bin/activate` first")

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rainbow_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, OperationalError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"{type(error).__name__}: {error}")
