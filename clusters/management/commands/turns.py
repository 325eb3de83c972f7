"""manage.py turns: whether those who submit to a cluster or pool take turns, on the server's command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clusters.models import Cluster
from clusters.services.turns import change_turns
from clusters.visible import visible_table
from rainbow.errors import RainbowError

_SAYS = {True: "turns", False: "age"}


class Command(BaseCommand):
    help = "Shows or changes whether jobs of a cluster or pool go by the turns of those who submit them, or by age."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="show by what jobs go in each cluster and pool")
        for verb, says in (("begin", "let submitters take turns"), ("end", "let jobs go by age")):
            changes = verbs.add_parser(verb, help=says)
            changes.add_argument("name", help="of the cluster or pool")
            changes.add_argument("--reason", default="", help="why, for the record of events")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verb"] == "list":
            found = Cluster.objects.order_by("name").values_list("name", "fair_turns")
            rows = [(name, _SAYS[bool(fair)]) for name, fair in found]
            self.stdout.write(visible_table(["CLUSTER OR POOL", "JOBS GO BY"], rows))
            return
        try:
            self._change(options)
        except RainbowError as error:
            raise CommandError(str(error)) from None

    def _change(self, options: dict[str, Any]) -> None:
        name, fair = options["name"], options["verb"] == "begin"
        cluster = Cluster.objects.filter(name=name).values_list("id", flat=True).first()
        if cluster is None:
            raise CommandError(f"there is no cluster or pool {name!r}")
        now = timezone.now()
        changed = change_turns(cluster_id=cluster, fair=fair, by=None, reason=options["reason"], now=now)
        self.stdout.write(f"Jobs in {name} go by {_SAYS[fair]}{' now' if changed else ', as before'}.")
