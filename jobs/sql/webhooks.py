"""Statements on webhooks."""

from collections.abc import Iterable

from clusters.sql.cursors import vendor
from jobs.models import Webhook, WebhookMessage
from jobs.sql.statements import among_ids, fetch, ids_as_value

_WEBHOOK = Webhook._meta.db_table
_MESSAGE = WebhookMessage._meta.db_table


def webhooks_to_tell(project_ids: Iterable[int]) -> list[int]:
    """Those of these projects that are on. None is deleted until the commit, which a message for one would fail."""
    lock = "FOR KEY SHARE" if vendor() == "postgresql" else ""
    statement = f"SELECT id FROM {_WEBHOOK} WHERE project_id {among_ids()} AND off_at IS NULL ORDER BY id {lock}"
    return [id for (id,) in fetch(statement, [ids_as_value(sorted(project_ids))])]


def messages_wait() -> bool:
    """Whether there is anything that a webhook is still to be told, be it on or off."""
    return bool(fetch(f"SELECT EXISTS (SELECT 1 FROM {_MESSAGE})", [])[0][0])
