"""manage.py import: fills an empty database with what manage.py export wrote."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from rainbow_site.copies.moving import import_database
from rainbow_site.copies.new_file import CannotCopy
from rainbow_site.copies.progress import Progress


class Command(BaseCommand):
    help = (
        "Fills an empty, migrated database with the records of a file that manage.py export wrote, and compares them. "
        "It changes nothing unless all of them are there in the end. Stop all servers first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="what manage.py export wrote, at this release")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = Progress()
        try:
            moved = import_database(options["file"], progress=progress.say)
        except CannotCopy as error:
            raise CommandError(str(error)) from None
        finally:
            progress.end()
        self.stdout.write(
            f"Imported {options['file']}: {moved.jobs:,} jobs, {moved.rows:,} rows of {moved.tables} tables."
        )
