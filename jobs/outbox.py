"""What webhooks are to be told, noted in the transaction of the event."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from clusters.models import Cluster
from jobs.models import Notification, Webhook, WebhookMessage
from jobs.remembered import Remembered
from jobs.sql.webhooks import webhooks_to_tell


class Told(NamedTuple):
    """An event of a project's job or group, as it is told."""

    project_id: int
    kind: Notification
    cluster_id: int
    data: Mapping[str, Any]


def forget_webhooks() -> None:
    """A webhook was made or changed; the other servers notice within a second."""
    _some.forget()


def webhooks_exist() -> bool:
    """As of a second ago at most."""
    return _some.value()


def tell_webhooks(events: Iterable[Told], *, now: datetime) -> None:
    """Call it in the transaction of the events. Where there are no webhooks, only that is asked, once a second."""
    told = list(events)
    if not told or not webhooks_exist():
        return
    of_project: dict[int, list[Webhook]] = {}
    ids = webhooks_to_tell({one.project_id for one in told})
    for webhook in Webhook.objects.filter(id__in=ids).select_related("project") if ids else ():
        of_project.setdefault(webhook.project_id, []).append(webhook)
    if of_project:
        WebhookMessage.objects.bulk_create(_messages(told, of_project, now))


def _messages(told: Sequence[Told], of_project: Mapping[int, Sequence[Webhook]], now: datetime) -> list[WebhookMessage]:
    clusters = dict(Cluster.objects.filter(id__in={one.cluster_id for one in told}).values_list("id", "name"))
    return [
        WebhookMessage(webhook=webhook, uid=f"msg_{uuid4().hex}", at=now, body=_body(one, webhook, clusters, now))
        for one in told
        for webhook in of_project.get(one.project_id, ())
        if one.kind in webhook.events
    ]


def _body(one: Told, webhook: Webhook, clusters: Mapping[int, str], now: datetime) -> str:
    where = {"project": webhook.project.name, "cluster": clusters.get(one.cluster_id, "")}
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.dumps({"type": one.kind.value, "timestamp": at, "data": {**one.data, **where}}, ensure_ascii=False)


_some = Remembered(lambda: Webhook.objects.filter(off_at=None).exists())
