"""manage.py restartids: makes room when the job ids run out."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.services.restart import restart_ids
from rainbow.errors import FailedPrecondition


class Command(BaseCommand):
    help = (
        "Gives new jobs ids that no record uses, once the present range of ids runs out; before that it changes "
        "nothing. Prune old jobs first. docs/operations.md says when and how."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            restart = restart_ids()
        except FailedPrecondition as error:
            raise CommandError(str(error)) from None
        ids = f"{restart.ids.first:,} to {restart.ids.last:,}"
        self.stdout.write(f"New jobs get the ids {ids}." if restart.changed else f"Nothing to do: {ids} are left.")
