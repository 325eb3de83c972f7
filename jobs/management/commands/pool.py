"""manage.py pool: what operators do with pools, on the server's command line."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from clusters.visible import visible_table
from jobs.queries.fleet_health import Health, fleet_health
from jobs.queries.warnings import in_words
from jobs.services.pools import Member, change_pool, create_pool
from rainbow.errors import RainbowError

_MEMBER_HELP = "a cluster, and after how many seconds of waiting it may take a job"
# More digits than any delay has.
_DIGITS = 9


class Command(BaseCommand):
    help = "Makes, changes and shows pools: sets of clusters under one name, whose jobs any of them may take."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = verbs.add_parser("create", help="make a pool, and print its token, which is not stored")
        change = verbs.add_parser("set", help="replace the clusters of a pool, also for the jobs that wait")
        show = verbs.add_parser("show", help="show the clusters of a pool")
        for verb in (create, change, show):
            verb.add_argument("name", help="of the pool")
        for verb in (create, change):
            verb.add_argument("members", nargs="+", type=_member, metavar="CLUSTER[:SECONDS]", help=_MEMBER_HELP)
            verb.add_argument("--reason", default="", help="why, for the record of events")
        for verb in (create, show, verbs.add_parser("list", help="list all pools")):
            verb.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            {"create": self._create, "set": self._set, "show": self._show, "list": self._list}[options["verb"]](options)
        except RainbowError as error:
            raise CommandError(str(error)) from None

    def _create(self, options: dict[str, Any]) -> None:
        said = {name: options[name] for name in ("name", "members", "reason")}
        token = create_pool(**said, by=None, now=timezone.now()).token.value
        if options["json"]:
            self._print_json({**_described(_pool_named(options["name"])), "token": token})
        else:
            self.stdout.write(f"Made {options['name']}. Its token, which is shown only now:\n{token}")

    def _set(self, options: dict[str, Any]) -> None:
        pool_id = _pool_named(options["name"]).cluster.id
        said = {name: options[name] for name in ("members", "reason")}
        changed = change_pool(pool_id=pool_id, **said, by=None, now=timezone.now())
        self.stdout.write(f"Changed {options['name']}." if changed else f"{options['name']} was so before.")

    def _show(self, options: dict[str, Any]) -> None:
        health = _pool_named(options["name"])
        if options["json"]:
            self._print_json(_described(health))
        else:
            self.stdout.write(visible_table(["CLUSTER", "AFTER", "LAST ASKED", "STATE"], _member_rows(health)))

    def _list(self, options: dict[str, Any]) -> None:
        pools = _pools()
        if options["json"]:
            self._print_json([_described(health) for health in pools])
        else:
            self.stdout.write(
                visible_table(["POOL", "WAITING", "LAST ASKED", "STATE", "CLUSTERS"], map(_pool_row, pools))
            )

    def _print_json(self, content: object) -> None:
        self.stdout.write(json.dumps(content, indent=2, default=str))


def _member(text: str) -> Member:
    cluster, colon, seconds = text.partition(":")
    if colon and not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= _DIGITS):
        raise ArgumentTypeError(f"must be CLUSTER or CLUSTER:SECONDS, not {text!r}")
    return Member(cluster=cluster, after_seconds=int(seconds or 0))


def _pools() -> list[Health]:
    return [health for health in fleet_health(now=timezone.now()) if health.cluster.pool]


def _pool_named(name: str) -> Health:
    for health in _pools():
        if health.cluster.name == name:
            return health
    raise CommandError(f"there is no pool {name!r}")


def _described(health: Health) -> dict[str, Any]:
    pool = health.cluster
    return {
        "name": pool.name,
        "members": [{"cluster": one.cluster.name, "after_seconds": one.after_seconds} for one in health.members],
        "waiting": health.waiting,
        "last_asked_at": health.last_asked_at.isoformat() if health.last_asked_at else None,
        "paused_reason": pool.paused_reason,
    }


def _pool_row(health: Health) -> Sequence[str]:
    asked = f"{in_words(health.silence)} ago" if health.silence else "never"
    state = f"paused: {health.cluster.paused_reason}" if health.cluster.paused_at else ""
    return health.cluster.name, f"{health.waiting:,}", asked, state, ", ".join(map(_told, health.members))


def _told(member: Any) -> str:
    return f"{member.cluster.name}:{member.after_seconds}" if member.after_seconds else member.cluster.name


def _member_rows(health: Health) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for member in health.members:
        cluster = member.cluster
        asked = f"{in_words(health.now - cluster.last_asked_at)} ago" if cluster.last_asked_at else "never"
        state = f"paused: {cluster.paused_reason}" if cluster.paused_at else cluster.not_ready
        rows.append((cluster.name, f"{member.after_seconds:,} s", asked, state))
    return rows
