#!/usr/bin/env python
"""Runs rainbow's management commands."""

import gc
import os
import sys

# What is loaded stays: to look for garbage in it takes a fifth of a server's start.
gc.disable()

try:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import ManagementUtility
    from django.core.management.base import BaseCommand
    from django.db import OperationalError
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: rainbow's server is not installed for {sys.executable}; `source .venv/bin/activate` first")


class Commands(ManagementUtility):
    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand)
        gc.freeze()
        gc.enable()
        return command


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rainbow_site.settings")
    try:
        Commands(sys.argv).execute()
    except (ImproperlyConfigured, OperationalError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"{type(error).__name__}: {error}")
