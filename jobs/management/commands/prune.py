"""manage.py prune: deletes what is old, every night."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from jobs.services.prune import prune_jobs
from jobs.services.prune_activity import prune_activity
from jobs.services.prune_usage import prune_usage

LONGEST_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Deletes the records of jobs that ended, or were handed over for good, more than so many days ago, and the "
        "web pages' sessions that expired."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=_days,
            required=True,
            metavar="DAYS",
            help=f"0 to {LONGEST_DAYS:,}; 0 deletes all of them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        number = prune_jobs(before=timezone.now() - timedelta(days=options["older_than"]))
        prune_activity(now=timezone.now())
        prune_usage(now=timezone.now())
        call_command("clearsessions")
        self.stdout.write(f"Pruned {number:,} {'job' if number == 1 else 'jobs'}.")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= LONGEST_DAYS):
        raise ArgumentTypeError(f"must be a whole number from 0 to {LONGEST_DAYS:,}, not {text!r}")
    return int(text)
