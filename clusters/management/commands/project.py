"""manage.py project: what operators do with projects, on the server's command line."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from clusters.management.limit_options import add_limits, limits_in
from clusters.management.limit_options import shown as shown_limits
from clusters.models import Role
from clusters.queries.projects import Described, described_projects
from clusters.services.limits import limit_project
from clusters.services.projects import (
    Change,
    add_member,
    close_project,
    create_project,
    grant_cluster,
    project_named,
    remove_member,
    reopen_project,
    share_jobs,
    weigh_project,
    withdraw_cluster,
)
from clusters.visible import visible_table
from rainbow.errors import RainbowError

_HELP = {
    "create": "make a project",
    "add": "take persons in, or change their role",
    "remove": "let persons go",
    "grant": "let the project use clusters and pools",
    "withdraw": "end its use of clusters and pools",
    "share": "let its members see each other's jobs",
    "unshare": "keep its members' jobs apart",
    "limit": "set what it may have in queues and at clusters",
    "weigh": "set what its jobs cost where submitters take turns",
    "close": "end all that the project grants",
    "reopen": "open it again",
}
_COLUMNS = ["PROJECT", "STATE", "JOBS ARE SEEN BY", "MEMBERS", "CLUSTERS", "WEIGHT", "LIMITS"]
_OF_PEOPLE, _OF_CLUSTERS = ("add", "remove"), ("grant", "withdraw")
# A change of one project by the options of the command, and whether that changed anything.
Deed = Callable[[int, Change, dict[str, Any]], bool]
_DEEDS: dict[str, Deed] = {
    "add": lambda id, change, said: _each(
        lambda name: add_member(
            project_id=id, person=name, role=Role.LEAD if said["lead"] else Role.MEMBER, change=change
        ),
        said["people"],
    ),
    "remove": lambda id, change, said: _each(
        lambda name: remove_member(project_id=id, person=name, change=change), said["people"]
    ),
    "grant": lambda id, change, said: _each(
        lambda name: grant_cluster(project_id=id, cluster=name, change=change), said["clusters"]
    ),
    "withdraw": lambda id, change, said: _each(
        lambda name: withdraw_cluster(project_id=id, cluster=name, change=change), said["clusters"]
    ),
    "share": lambda id, change, said: share_jobs(project_id=id, shares=True, change=change),
    "unshare": lambda id, change, said: share_jobs(project_id=id, shares=False, change=change),
    "limit": lambda id, change, said: limit_project(project_id=id, wanted=limits_in(said), change=change),
    "weigh": lambda id, change, said: weigh_project(project_id=id, weight=said["weight"], change=change),
    "close": lambda id, change, said: close_project(project_id=id, change=change),
    "reopen": lambda id, change, said: reopen_project(project_id=id, change=change),
}


class Command(BaseCommand):
    help = "Makes, changes and shows projects: who is in them, and which clusters and pools they may use."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb, help_text in _HELP.items():
            changes = verbs.add_parser(verb, help=help_text)
            changes.add_argument("name", help="of the project")
            if verb in _OF_PEOPLE:
                changes.add_argument("people", nargs="+", metavar="PERSON", help="a user name")
            if verb in _OF_CLUSTERS:
                changes.add_argument("clusters", nargs="+", metavar="CLUSTER", help="a cluster or pool")
            if verb == "add":
                changes.add_argument("--lead", action="store_true", help="as leads, who look after the project")
            if verb == "limit":
                add_limits(changes)
            if verb == "weigh":
                changes.add_argument("weight", type=int, help="1 to 1,000; of a project of weight 2 a node costs half")
            changes.add_argument("--reason", default="", help="why, for the record of events")
        show = verbs.add_parser("show", help="show a project")
        show.add_argument("name", help="of the project")
        for shows in (show, verbs.add_parser("list", help="list all projects")):
            shows.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._do(options["verb"], options)
        except RainbowError as error:
            raise CommandError(str(error)) from None

    def _do(self, verb: str, options: dict[str, Any]) -> None:
        if verb in ("show", "list"):
            self._show(options)
            return
        change = Change(by=None, now=timezone.now(), reason=options["reason"])
        if verb == "create":
            create_project(name=options["name"], change=change)
            self.stdout.write(f"Made {options['name']}.")
            return
        with transaction.atomic():
            changed = _DEEDS[verb](project_named(options["name"]).id, change, options)
        self.stdout.write(f"Changed {options['name']}." if changed else f"{options['name']} was so before.")

    def _show(self, options: dict[str, Any]) -> None:
        """`list` has no name."""
        name = options.get("name")
        if name is not None:
            project_named(name)
        found = described_projects(name, now=timezone.now())
        if options["json"]:
            shown = [asdict(one) for one in found]
            self.stdout.write(json.dumps(shown if name is None else shown[0], indent=2, default=str))
        else:
            self.stdout.write(visible_table(_COLUMNS, map(_row, found)))


def _each(change: Callable[[str], bool | None], names: Sequence[str]) -> bool:
    """Makes the change for all names; whether it changed any. One that returns nothing has always changed something."""
    changed = [change(name) for name in names]
    return any(one is not False for one in changed)


def _row(project: Described) -> Sequence[str]:
    members = [f"{name} (lead)" if role == Role.LEAD else name for name, role in project.members]
    return (
        project.name,
        "closed" if project.closed_at else "open",
        "its members" if project.shares_jobs else "their owners and leads",
        ", ".join(members) or "-",
        ", ".join(project.clusters) or "-",
        f"{project.weight:,}",
        shown_limits(project.limits),
    )
