"""manage.py demo: a fleet with a week of jobs behind it."""

import secrets
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Never

from django.contrib.auth.models import Group, Permission, User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from jobs.demo.people import PERSON, let_in
from jobs.demo.stage import create_demo_data, refresh_demo_requests
from rainbow.errors import FailedPrecondition

MOST_JOBS, MOST_CLUSTERS = 10_000_000, 10_000
_ASK_EVERY_SECONDS = 10
_FRESH = "the demo wants an empty one, for example DATABASE_URL=sqlite:///demo.db"
_PASSWORD_HELP = "of the three accounts; a random one unless said. Others can read it in the process list"


# Permissions that no group has: the demo is there to show everything.
_OF_THEIR_OWN = ("see_content_of_job", "manage_credential", "change_project", "view_user", "change_user")


class Command(BaseCommand):
    help = "Fills an empty development database with clusters, people, a week of jobs in all states, and accounts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--jobs", type=_number(most=MOST_JOBS), default=20_000, help="how many jobs (%(default)s)")
        parser.add_argument(
            "--clusters", type=_number(most=MOST_CLUSTERS), default=12, help="how many clusters (%(default)s)"
        )
        parser.add_argument("--stay", action="store_true", help="stay, and let the clusters that are well go on asking")
        parser.add_argument("--password", default="", help=_PASSWORD_HELP)

    def handle(self, *args: Any, **options: Any) -> None:
        password = options["password"] or secrets.token_urlsafe(9)
        if User.objects.exists():
            raise CommandError(f"there are accounts in this database; {_FRESH}")
        size = f"{options['clusters']:,} clusters and {options['jobs']:,} jobs"
        self.stdout.write(f"Making {size}; how to sign in follows.")
        self.stdout.flush()
        try:
            create_demo_data(clusters=options["clusters"], jobs=options["jobs"], now=timezone.now())
        except FailedPrecondition as error:
            raise CommandError(f"{error}; {_FRESH}") from None
        self._add_account("viewer", password)
        operator = self._add_account("operator", password)
        operator.user_permissions.set(Permission.objects.filter(codename__in=_OF_THEIR_OWN))
        let_in(password)
        self.stdout.write(
            f"{size} are there.\nSign in at /admin/ as operator or as viewer, or at /sign-in/ as {PERSON}, "
            f"with the password {password}"
        )

        if options["stay"]:
            self.stdout.flush()
            with suppress(KeyboardInterrupt):
                _keep_asking()

    def _add_account(self, name: str, password: str) -> User:
        account = User.objects.create_user(name, password=password, is_staff=True)
        account.groups.add(Group.objects.get(name=f"{name}s"))
        return account


def _keep_asking() -> Never:
    while True:
        time.sleep(_ASK_EVERY_SECONDS)
        refresh_demo_requests(now=timezone.now())


def _number(*, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and 1 <= int(text) <= most:
            return int(text)
        raise ArgumentTypeError(f"must be 1 to {most:,}, not {text}")

    return number
