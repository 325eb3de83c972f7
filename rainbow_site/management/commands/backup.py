"""manage.py backup: a copy of the database, while servers run."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from rainbow_site.copies import postgresql_backup, sqlite_backup
from rainbow_site.copies.new_file import CannotCopy, new_file
from rainbow_site.copies.progress import Progress


class Command(BaseCommand):
    help = (
        "Writes a copy of the database to a new file, also while servers run: a SQLite database, or what pg_dump "
        "writes for pg_restore. docs/backup.md says how to restore it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="a file that does not exist yet")
        parser.add_argument("--verify", action="store_true", help="read the whole copy before it gets its name")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with new_file(path) as draft:
                _back_up(draft)
                if options["verify"]:
                    _verify(draft)
                size = draft.stat().st_size
        except CannotCopy as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Wrote {path}: {size:,} bytes{', verified' if options['verify'] else ''}.")


def _back_up(draft: Path) -> None:
    if connection.vendor == "postgresql":
        postgresql_backup.back_up(connection.get_connection_params(), draft)
        return
    progress = Progress()
    database = Path(connection.settings_dict["NAME"])
    sqlite_backup.back_up(
        database, draft, progress=lambda done, pages: progress.say(f"{done * 100 // max(1, pages)} % copied")
    )
    progress.end()


def _verify(draft: Path) -> None:
    if connection.vendor == "postgresql":
        postgresql_backup.verify(draft)
    else:
        sqlite_backup.verify(draft)
