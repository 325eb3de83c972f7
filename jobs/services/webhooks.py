"""Webhooks of projects: making them, and what became of their messages."""

import base64
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from clusters.validation import check_line
from jobs.models import Notification, Webhook, WebhookMessage
from jobs.outbox import forget_webhooks
from jobs.sql.webhooks import messages_wait
from rainbow.errors import FailedPrecondition, InvalidArgument, NotFound

MAX_URL = 2048
MAX_OF_PROJECT = 10
# Beyond so many that wait a webhook that fails is switched off, and one whose receiver only is too slow.
MOST_WAITING, MOST_WAITING_IF_SLOW = 10_000, 100_000
# How many are sent in one turn, one after the other, and for how long the turn is one server's.
AT_ONCE = 20
HELD_FOR = timedelta(minutes=10)
MOST_AT_ONCE = 100
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=1)
# What a webhook that is off is still to be told, for those who switch it on again.
KEPT = timedelta(days=7)
_DOUBLED = 10
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWebhook:
    id: int
    project_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message as it is sent."""

    id: int
    uid: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The first messages of a webhook, in their order."""

    webhook_id: int
    url: str
    secret: str
    messages: Sequence[Outgoing]


@transaction.atomic
def make_webhook(*, project_id: int, url: str, events: Sequence[str], now: datetime) -> Webhook:
    """With a new secret, which is to be shown this once. Raises InvalidArgument, FailedPrecondition."""
    check_url(url)
    chosen = list(dict.fromkeys(events or Notification.values))
    if unknown := [event for event in chosen if event not in Notification.values]:
        raise InvalidArgument(f"must be of {', '.join(Notification.values)}, not {unknown[0]}", field="events")
    if Webhook.objects.filter(project_id=project_id).count() >= MAX_OF_PROJECT:
        raise FailedPrecondition(f"a project has at most {MAX_OF_PROJECT} webhooks")
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    made = Webhook.objects.create(project_id=project_id, url=url, events=chosen, secret=secret, made_at=now)
    forget_webhooks()
    return made


@transaction.atomic
def remove_webhook(*, webhook_id: int) -> None:
    """With all that it is still to be told. Raises NotFound."""
    # Transactions that note messages for it are over once it is locked.
    if not Webhook.objects.select_for_update().filter(id=webhook_id).first():
        raise NotFound(f"there is no webhook {webhook_id}")
    Webhook.objects.filter(id=webhook_id).delete()
    forget_webhooks()


def resume_webhook(*, webhook_id: int) -> None:
    """Switches it on again, and sends what waits. Raises NotFound."""
    on = {"off_at": None, "off_reason": "", "failing_since": None, "failures": 0, "next_at": None}
    if not Webhook.objects.filter(id=webhook_id).update(**on):
        raise NotFound(f"there is no webhook {webhook_id}")
    forget_webhooks()


def check_url(url: str) -> None:
    """Raises InvalidArgument. Where its host leads is looked at whenever something is sent."""
    check_line(url, field="url", longest=MAX_URL, required=True)
    schemes = ("https", "http") if settings.RAINBOW_WEBHOOK_HTTP else ("https",)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidArgument("is no URL", field="url") from None
    if parts.scheme not in schemes or not url.isascii() or " " in url:
        advice = "; http:// needs RAINBOW_WEBHOOK_HTTP=yes at the server" if parts.scheme == "http" else ""
        raise InvalidArgument(f"must be a URL that begins with {'://, or '.join(schemes)}://{advice}", field="url")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise InvalidArgument("must name a host", field="url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidArgument("must have neither user, password nor fragment", field="url")


def due_webhooks(*, now: datetime) -> list[DueWebhook]:
    """Those that have something to tell, and that no server is telling: first those that were told longest ago."""
    # Most servers ask this each second in vain.
    if not messages_wait():
        return []
    waiting = WebhookMessage.objects.filter(webhook_id=OuterRef("id"))
    due = _ready(now).filter(Exists(waiting)).order_by(F("held_until").asc(nulls_first=True), "id")
    return [DueWebhook(id=one.id, project_id=one.project_id) for one in due.only("id", "project_id")[:MOST_AT_ONCE]]


@transaction.atomic
def take_batch(*, webhook_id: int, holder: str, now: datetime) -> Batch | None:
    """Its first messages, which this holder may send: one conditional UPDATE decides between servers."""
    if not _ready(now).filter(id=webhook_id).update(holder=holder, held_until=now + HELD_FOR):
        return None
    webhook = Webhook.objects.get(id=webhook_id)
    waiting = WebhookMessage.objects.filter(webhook_id=webhook_id).order_by("id")
    messages = [Outgoing(id=one.id, uid=one.uid, body=one.body) for one in waiting[:AT_ONCE]]
    return Batch(webhook_id=webhook_id, url=webhook.url, secret=webhook.secret, messages=messages)


@transaction.atomic
def note_sent(
    *, webhook_id: int, holder: str, delivered: Sequence[int], failure: str = "", gone: bool = False, now: datetime
) -> str:
    """What became of a batch: the ids of the messages that were delivered, and why the next was not, if so.

    Ends the holder's turn. Returns why the webhook is off from now on; empty while it is not.
    """
    # Before its messages, as one that removes it does.
    webhook = Webhook.objects.select_for_update(no_key=True).filter(id=webhook_id).first()
    if webhook is None:
        return ""
    WebhookMessage.objects.filter(webhook_id=webhook_id, id__in=list(delivered)).delete()
    if webhook.holder == holder:
        webhook.holder, webhook.held_until = "", now
    if delivered or not failure:
        webhook.failing_since, webhook.failures, webhook.next_at, webhook.last_failure = None, 0, None, ""
    if failure:
        webhook.failing_since = webhook.failing_since or now
        webhook.next_at = now + pause_after(webhook.failures)
        webhook.failures, webhook.last_failure = webhook.failures + 1, failure
    if webhook.off_at is None and (reason := _why_off(webhook, failure, gone, now)):
        webhook.off_at, webhook.off_reason = now, reason
        forget_webhooks()
    webhook.save()
    return webhook.off_reason


def pause_after(failures: int) -> timedelta:
    """After so many failures before this one."""
    return min(FIRST_PAUSE * (1 << min(failures, _DOUBLED)), LONGEST_PAUSE)


def drop_old_messages(*, now: datetime) -> int:
    """Those of webhooks that have been off for long."""
    old = WebhookMessage.objects.filter(webhook__off_at__lt=now - KEPT).values_list("id", flat=True)[:1_000]
    return WebhookMessage.objects.filter(id__in=list(old)).delete()[0]


def _why_off(webhook: Webhook, failure: str, gone: bool, now: datetime) -> str:
    if gone:
        return "its receiver answered that it is gone (410)"
    if failure and webhook.failing_since and now - webhook.failing_since >= GIVEN_UP_AFTER:
        return f"nothing could be delivered for a day: {failure}"
    most = MOST_WAITING if failure else MOST_WAITING_IF_SLOW
    if WebhookMessage.objects.filter(webhook=webhook).order_by("id")[most : most + 1]:
        return f"more than {most:,} notifications wait: {failure or 'its receiver is too slow'}"
    return ""


def _ready(now: datetime) -> QuerySet[Webhook]:
    free = Q(holder="") | Q(held_until__lt=now)
    return Webhook.objects.filter(free, Q(next_at__isnull=True) | Q(next_at__lte=now), off_at=None)
