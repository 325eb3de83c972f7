"""manage.py webhook: where others are told of a project's jobs."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from django.utils import timezone

from clusters.services.projects import project_named
from clusters.visible import visible_table
from jobs.models import Notification, Webhook
from jobs.services.webhooks import make_webhook, remove_webhook, resume_webhook
from rainbow.errors import RainbowError

_COLUMNS = ["ID", "PROJECT", "URL", "EVENTS", "WAITING", "STATE"]


class Command(BaseCommand):
    help = "Makes, lists and removes webhooks of projects, and switches them on again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        add = verbs.add_parser("add", help="make a webhook, and print its secret once")
        add.add_argument("project")
        add.add_argument("url", help="where notifications are posted")
        add.add_argument(
            "--event", action="append", default=[], choices=Notification.values, help="repeatable; all unless said"
        )
        shown = verbs.add_parser("list", help="list webhooks, with what waits and why one is off")
        shown.add_argument("--json", action="store_true", help="print JSON")
        for verb, what in {"remove": "remove a webhook", "resume": "switch one on again, and send what waits"}.items():
            verbs.add_parser(verb, help=what).add_argument("id", type=int, help="of the webhook")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._do(options["verb"], options)
        except RainbowError as error:
            raise CommandError(str(error)) from None

    def _do(self, verb: str, options: dict[str, Any]) -> None:
        if verb == "add":
            project = project_named(options["project"])
            made = make_webhook(project_id=project.id, url=options["url"], events=options["event"], now=timezone.now())
            self.stdout.write(f"Made webhook {made.id}. Its secret, shown this once: {made.secret}")
        elif verb == "remove":
            remove_webhook(webhook_id=options["id"])
            self.stdout.write(f"Removed webhook {options['id']}.")
        elif verb == "resume":
            resume_webhook(webhook_id=options["id"])
            self.stdout.write(f"Webhook {options['id']} is on.")
        else:
            self._list(as_json=options["json"])

    def _list(self, *, as_json: bool) -> None:
        found = list(Webhook.objects.select_related("project").annotate(waiting=Count("messages")).order_by("id"))
        if as_json:
            self.stdout.write(json.dumps([_document(webhook) for webhook in found], indent=2))
        else:
            self.stdout.write(visible_table(_COLUMNS, map(list, map(_row, found))))


def _row(webhook: Any) -> Iterator[str]:
    yield str(webhook.id)
    yield webhook.project.name
    yield webhook.url
    yield ", ".join(webhook.events)
    yield f"{webhook.waiting:,}"
    yield _state(webhook)


def _state(webhook: Webhook) -> str:
    if webhook.off_at:
        return f"off since {webhook.off_at:%Y-%m-%d %H:%M} UTC: {webhook.off_reason}"
    if webhook.failing_since:
        return f"fails since {webhook.failing_since:%Y-%m-%d %H:%M} UTC: {webhook.last_failure}"
    return "on"


def _document(webhook: Any) -> dict[str, object]:
    return {
        "id": webhook.id,
        "project": webhook.project.name,
        "url": webhook.url,
        "events": webhook.events,
        "waiting": webhook.waiting,
        "state": _state(webhook),
    }
