"""manage.py demo: a fleet with a week of jobs behind it, to look at."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from jobs.services import stage_demo
from rainbow.errors import FailedPrecondition


class Command(BaseCommand):
    help = "Fills an empty development database with clusters, a week of jobs in all states, and two accounts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--jobs", type=int, default=20_000, help="how many jobs (%(default)s)")
        parser.add_argument("--clusters", type=int, default=12, help="how many clusters (%(default)s)")
        parser.add_argument("--password", default="", help="of the two accounts; a random one unless said")

    def handle(self, *args: Any, **options: Any) -> None:
        password = options["password"] or secrets.token_urlsafe(9)
        try:
            stage_demo(clusters=options["clusters"], jobs=options["jobs"], now=timezone.now())
        except FailedPrecondition as error:
            raise CommandError(f"{error}. For example: DATABASE_URL=sqlite:///demo.db") from None
        self._add_account("viewer", password)
        operator = self._add_account("operator", password)
        operator.user_permissions.add(Permission.objects.get(codename="see_content_of_job"))
        self.stdout.write(
            f"{options['clusters']:,} clusters and {options['jobs']:,} jobs are there.\n"
            f"Sign in at /admin/ as operator or as viewer, with the password {password}"
        )

    def _add_account(self, name: str, password: str) -> User:
        account = User.objects.create_user(name, password=password, is_staff=True)
        account.groups.add(Group.objects.get(name=f"{name}s"))
        return account
