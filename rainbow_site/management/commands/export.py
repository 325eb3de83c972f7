"""manage.py export: all records, in a file that manage.py import takes."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rainbow_site.copies.moving import export_database
from rainbow_site.copies.new_file import CannotCopy
from rainbow_site.copies.progress import Progress


class Command(BaseCommand):
    help = (
        "Writes all records to a new file, from which manage.py import fills an empty database, of the other kind if "
        "need be. Stop all servers first. docs/backup.md describes the file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="a file that does not exist yet")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress()
        try:
            moved = export_database(options["file"], progress=progress.say)
        except CannotCopy as error:
            raise CommandError(str(error)) from None
        finally:
            progress.end()
        self.stdout.write(
            f"Wrote {options['file']}: {moved.jobs:,} jobs, {moved.rows:,} rows of {moved.tables} tables."
        )
