"""manage.py person: the limits of persons, on the server's command line."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clusters.management.limit_options import add_limits, limits_in, shown
from clusters.models import Holder
from clusters.queries.allowances import used_by
from clusters.services.limits import limit_person, person_named
from clusters.services.projects import Change
from clusters.visible import visible
from rainbow.errors import RainbowError


class Command(BaseCommand):
    help = "Sets and shows what a person may have in queues and at clusters."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        limit = verbs.add_parser("limit", help="set limits")
        add_limits(limit)
        show = verbs.add_parser("show", help="show limits and what is used of them")
        show.add_argument("--json", action="store_true", help="print JSON")
        for parts in (limit, show):
            parts.add_argument("name", help="a user name")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        try:
            if options["verb"] == "show":
                self._show(name, as_json=options["json"])
                return
            changed = limit_person(person=name, wanted=limits_in(options), change=Change(by=None, now=timezone.now()))
        except RainbowError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Changed {visible(name)}." if changed else f"{visible(name)} was so before.")

    def _show(self, name: str, *, as_json: bool) -> None:
        person = person_named(name)
        used = used_by(Holder.PERSON, [person.pk], now=timezone.now())[person.pk]
        if as_json:
            self.stdout.write(json.dumps({"name": name, "limits": [asdict(one) for one in used]}, indent=2))
        else:
            self.stdout.write(f"{visible(name)}: {shown(used)}")
