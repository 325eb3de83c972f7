"""Webhooks: what is noted with events, how it is sent, and what comes of receivers that fail, hang and come back."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from clusters.models import Project
from grpc_api.runtime import webhooks as telling
from grpc_api.runtime.webhook_sender import NotDelivered, Sender, is_public
from grpc_api.runtime.webhooks import Sent, SlowProjects, send_batch
from jobs.models import Job, JobGroup, Notification, Webhook, WebhookMessage
from jobs.reports import Report
from jobs.services import webhooks
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.group_steps import step_group
from jobs.services.report import report_jobs
from jobs.services.webhooks import (
    AT_ONCE,
    GIVEN_UP_AFTER,
    HELD_FOR,
    Batch,
    DueWebhook,
    Outgoing,
    due_webhooks,
    make_webhook,
    note_sent,
    pause_after,
    resume_webhook,
    take_batch,
)
from jobs.states import EndCause, JobState
from rainbow.errors import FailedPrecondition, InvalidArgument
from tests.support.leases import watching
from tests.support.lives import AGENT, job_in
from tests.support.members import browser_of, person_named, project_of, submitted_by
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.rows import count, execute
from tests.support.servers import RainbowServer

URL = "https://hooks.example.org/rainbow"
SECRET = f"whsec_{base64.b64encode(b'a' * 32).decode()}"
Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver:
    """A real HTTP server, which answers as it is told and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Answer = status(204)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                outer.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?x=1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(PATIENCE_SECONDS)


def close(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte of a header now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
    try:
        while True:
            handler.wfile.write(b"y")
            time.sleep(0.05)
    except OSError:
        pass


def garble(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\x1b nonsense\r\n\r\n")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


@pytest.fixture
def allowed(settings: Any) -> None:
    settings.RAINBOW_WEBHOOK_HTTP = True


@pytest.fixture
def alice(alpha: Any, now: datetime) -> Any:
    who = person_named("alice")
    project_of(who, now=now)
    return who


def webhook(url: str = URL, *events: str, now: datetime) -> Webhook:
    return make_webhook(project_id=Project.objects.get(name="chem").id, url=url, events=events, now=now)


def ended(alpha: Any, job_id: int, *, now: datetime) -> None:
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent=AGENT, now=now)
    report = Report(job_id=job_id, attempt=1, state=JobState.FAILED, exit_code=7, end_cause=EndCause.EXIT)
    report_jobs(caller=alpha.puller, agent=AGENT, reports=[report], now=now)


def bodies() -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in WebhookMessage.objects.order_by("id")]


def due(now: datetime) -> list[int]:
    return [webhook.id for webhook in due_webhooks(now=now)]


def send(seconds: float = PATIENCE_SECONDS, *, now: datetime, crash: bool = False) -> None:
    """What a server does once; with `crash` it dies between the delivery and its record."""
    for webhook_id in due(now):
        batch = take_batch(webhook_id=webhook_id, holder="me", now=now)
        assert batch
        sent = send_batch(Sender(private=True, seconds=seconds), batch)
        if not crash:
            note_sent(
                webhook_id=webhook_id,
                holder="me",
                delivered=sent.delivered,
                failure=sent.failure,
                gone=sent.gone,
                now=now,
            )


# What is noted


@pytest.mark.django_db
def test_the_end_of_a_job_is_noted_with_it(alpha: Any, alice: Any, now: datetime) -> None:
    webhook(now=now)
    job_id = submitted_by(alice, now=now)[0]

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ended(alpha, job_id, now=now)
        assert len(bodies()) == 1
        raise ZeroDivisionError
    assert bodies() == []
    ended(alpha, job_id, now=now)

    (body,) = bodies()
    assert (body["type"], body["timestamp"]) == ("job.ended", f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
    assert {name: body["data"][name] for name in ("job", "attempt", "state", "project", "cluster")} == {
        "job": job_id,
        "attempt": 1,
        "state": "failed",
        "project": "chem",
        "cluster": "alpha",
    }


@pytest.mark.django_db
def test_a_loss_and_a_cancel_are_noted(alpha: Any, alice: Any, now: datetime) -> None:
    webhook(now=now)
    first, second = submitted_by(alice, 2, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[first], agent=AGENT, now=now)
    report = Report(job_id=first, attempt=1, state=JobState.RUNNING, native_id="7")
    report_jobs(caller=alpha.puller, agent=AGENT, reports=[report], lease_seconds=60, now=now)
    watching(now).until(now + timedelta(seconds=80))
    cancel_jobs(by=alpha.puller, job_ids=[second], now=now)

    assert [(body["type"], body["data"]["job"]) for body in bodies()] == [("job.lost", first), ("job.ended", second)]


@pytest.mark.django_db
def test_a_group_that_finished_is_noted_once(alpha: Any, alice: Any, now: datetime) -> None:
    made = webhook(URL, "group.finished", now=now)
    group = JobGroup.objects.create(
        cluster=alpha.cluster, project=made.project, name="sweep", made_at=now, added_at=now, open=False
    )

    step_group(group_id=group.id, now=now)
    step_group(group_id=group.id, now=now)

    (body,) = bodies()
    assert (body["type"], body["data"]["group"], body["data"]["name"]) == ("group.finished", group.id, "sweep")


@pytest.mark.django_db
def test_only_what_a_webhook_chose_is_noted(alpha: Any, alice: Any, now: datetime) -> None:
    webhook(URL, "job.lost", now=now)

    ended(alpha, submitted_by(alice, now=now)[0], now=now)

    assert bodies() == []


@pytest.mark.django_db
def test_jobs_of_a_clusters_token_pay_nothing(alpha: Any, alice: Any, now: datetime) -> None:
    webhook(now=now)
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    with CaptureQueriesContext(connection) as queries:
        report = Report(job_id=job_id, attempt=1, state=JobState.FAILED)
        report_jobs(caller=alpha.puller, agent=AGENT, reports=[report], now=now)

    assert Job.objects.get(id=job_id).state == JobState.FAILED
    assert not [query for query in queries if "webhook" in query["sql"]]


@pytest.mark.django_db
def test_without_webhooks_jobs_of_projects_pay_a_query_a_second(alpha: Any, alice: Any, now: datetime) -> None:
    first, second = submitted_by(alice, 2, now=now)
    ended(alpha, first, now=now)

    with CaptureQueriesContext(connection) as queries:
        ended(alpha, second, now=now)

    assert len([query for query in queries if "webhook" in query["sql"]]) <= 1


# How it is sent


@pytest.mark.django_db
def test_a_message_is_signed_over_its_id_its_time_and_its_body(
    receiver: Receiver, allowed: None, alpha: Any, alice: Any, now: datetime
) -> None:
    made = webhook(receiver.url, now=now)
    ended(alpha, submitted_by(alice, now=now)[0], now=now)

    send(now=now)

    ((headers, body),) = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(made.secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < PATIENCE_SECONDS
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["type"] == "job.ended"
    assert not WebhookMessage.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "answer",
    [status(500), status(404), status(301, location="http://127.0.0.1:1/"), close, hang, drip],
    ids=["fails", "missing", "redirects", "closes", "hangs", "drips"],
)
def test_a_receiver_that_fails_and_comes_back_gets_all_in_order(
    receiver: Receiver, allowed: None, alpha: Any, alice: Any, now: datetime, answer: Answer
) -> None:
    made = webhook(receiver.url, now=now)
    jobs = submitted_by(alice, 2, now=now)
    for job_id in jobs:
        ended(alpha, job_id, now=now)
    receiver.answer = answer

    send(1.0, now=now)
    assert due(now) == []
    made.refresh_from_db()
    assert (made.failing_since, made.failures, made.next_at) == (now, 1, now + pause_after(0))
    assert made.last_failure
    assert WebhookMessage.objects.count() == 2
    receiver.answer = status(200)
    send(now=now + pause_after(0))

    made.refresh_from_db()
    assert (made.failing_since, made.failures, made.next_at, made.off_at) == (None, 0, None, None)
    assert [json.loads(body)["data"]["job"] for _, body in receiver.got[1:]] == jobs
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]
    assert not WebhookMessage.objects.exists()


@pytest.mark.django_db
def test_a_crash_between_the_delivery_and_its_record_repeats_and_loses_nothing(
    receiver: Receiver, allowed: None, alpha: Any, alice: Any, now: datetime
) -> None:
    webhook(receiver.url, now=now)
    ended(alpha, submitted_by(alice, now=now)[0], now=now)

    send(now=now, crash=True)
    assert due(now) == []
    send(now=now + HELD_FOR + timedelta(seconds=1))

    first, second = receiver.got
    assert (first[0]["webhook-id"], first[1]) == (second[0]["webhook-id"], second[1])
    assert not WebhookMessage.objects.exists()


@pytest.mark.django_db
def test_one_server_at_a_time_tells_a_webhook(alpha: Any, alice: Any, now: datetime) -> None:
    made = webhook(now=now)
    ended(alpha, submitted_by(alice, now=now)[0], now=now)

    assert take_batch(webhook_id=made.id, holder="one", now=now)
    assert take_batch(webhook_id=made.id, holder="two", now=now) is None
    note_sent(webhook_id=made.id, holder="one", delivered=[], failure="answered 500", now=now)
    assert take_batch(webhook_id=made.id, holder="two", now=now + pause_after(0))


@pytest.mark.django_db
def test_pauses_double_and_after_a_day_it_is_off_with_the_reason(alpha: Any, alice: Any, now: datetime) -> None:
    made = webhook(now=now)
    job_id, later = submitted_by(alice, 2, now=now)
    ended(alpha, job_id, now=now)
    pauses = []
    at = now
    while not Webhook.objects.get(id=made.id).off_at:
        assert take_batch(webhook_id=made.id, holder="me", now=at)
        note_sent(webhook_id=made.id, holder="me", delivered=[], failure="answered 500", now=at)
        pauses.append(Webhook.objects.get(id=made.id).next_at - at)
        at += pauses[-1]

    assert pauses[:3] == [timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    assert max(pauses) == timedelta(hours=1)
    assert timedelta(0) <= at - now - GIVEN_UP_AFTER <= timedelta(hours=2)
    off = Webhook.objects.get(id=made.id)
    assert off.off_reason == "nothing could be delivered for a day: answered 500"
    ended(alpha, later, now=at)
    assert len(bodies()) == 1
    assert due(at + timedelta(days=9)) == []
    resume_webhook(webhook_id=made.id)
    assert due(at) == [made.id]


@pytest.mark.django_db
def test_a_receiver_that_is_gone_is_told_no_more(
    receiver: Receiver, allowed: None, alpha: Any, alice: Any, now: datetime
) -> None:
    made = webhook(receiver.url, now=now)
    ended(alpha, submitted_by(alice, now=now)[0], now=now)
    receiver.answer = status(410)

    send(now=now)

    assert Webhook.objects.get(id=made.id).off_reason == "its receiver answered that it is gone (410)"


@pytest.mark.django_db
def test_whatever_a_receiver_answers_its_failure_is_noted(
    receiver: Receiver, allowed: None, alpha: Any, alice: Any, now: datetime
) -> None:
    made = webhook(receiver.url, now=now)
    ended(alpha, submitted_by(alice, now=now)[0], now=now)
    receiver.answer = garble

    send(now=now)

    noted = Webhook.objects.get(id=made.id)
    assert (noted.failures, noted.holder) == (1, "")
    assert noted.last_failure.startswith(r"no answer: BadStatusLine: \x00\x1b nonsense")


@pytest.mark.django_db
def test_an_outbox_does_not_grow_for_ever(
    alpha: Any, alice: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_WAITING", 3)
    made = webhook(now=now)
    for job_id in submitted_by(alice, 4, now=now):
        ended(alpha, job_id, now=now)

    take_batch(webhook_id=made.id, holder="me", now=now)
    off = note_sent(webhook_id=made.id, holder="me", delivered=[], failure="answered 500", now=now)

    assert off == "more than 3 notifications wait: answered 500"
    assert webhooks.drop_old_messages(now=now) == 0
    assert webhooks.drop_old_messages(now=now + timedelta(days=8)) == 4


@pytest.mark.django_db
def test_nor_does_that_of_a_receiver_that_is_too_slow(
    alpha: Any, alice: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_WAITING", 1)
    monkeypatch.setattr(webhooks, "MOST_WAITING_IF_SLOW", 3)
    made = webhook(now=now)
    for job_id in submitted_by(alice, 5, now=now):
        ended(alpha, job_id, now=now)
    first, second, *_ = WebhookMessage.objects.order_by("id").values_list("id", flat=True)

    ends = []
    for delivered in (first, second):
        take_batch(webhook_id=made.id, holder="me", now=now)
        ends.append(note_sent(webhook_id=made.id, holder="me", delivered=[delivered], now=now))
        resume_webhook(webhook_id=made.id)

    assert ends == ["more than 3 notifications wait: its receiver is too slow", ""]


@pytest.mark.django_db
def test_those_that_were_told_longest_ago_are_first(alpha: Any, alice: Any, now: datetime) -> None:
    first, second, third = (webhook(now=now).id for _ in range(3))
    for job_id in submitted_by(alice, 2, now=now):
        ended(alpha, job_id, now=now)

    for at, webhook_id in enumerate((second, first)):
        take_batch(webhook_id=webhook_id, holder="me", now=now)
        note_sent(webhook_id=webhook_id, holder="me", delivered=[], now=now + timedelta(seconds=at))

    assert due(now) == [third, second, first]


@pytest.mark.django_db
def test_a_webhook_is_locked_before_its_messages_are_deleted(alpha: Any, alice: Any, now: datetime) -> None:
    """As it is where it is removed: in the other order the two could deadlock."""
    made = webhook(now=now)
    ended(alpha, submitted_by(alice, now=now)[0], now=now)
    batch = take_batch(webhook_id=made.id, holder="me", now=now)
    assert batch

    with CaptureQueriesContext(connection) as queries:
        note_sent(webhook_id=made.id, holder="me", delivered=[one.id for one in batch.messages], now=now)

    on_rows = [query["sql"] for query in queries if '"jobs_webhook' in query["sql"]]
    assert on_rows[0].startswith("SELECT")
    assert 'FROM "jobs_webhook" ' in on_rows[0]
    assert any(sql.startswith("DELETE") for sql in on_rows[1:])


def test_a_turn_of_a_slow_receiver_ends_in_time(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.setattr(telling, "_TURN_SECONDS", 0.0)
    messages = [Outgoing(id=id, uid=f"msg_{id}", body="{}") for id in (1, 2)]

    sent = send_batch(Sender(private=True), Batch(webhook_id=1, url=receiver.url, secret=SECRET, messages=messages))

    assert (sent.delivered, sent.failure) == ([1], "")


class Telling:
    """What the loop sees of a database in which each of these webhooks always has something to tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *webhooks: DueWebhook) -> None:
        self.told: list[int] = []
        self.begun: list[int] = []
        self.may_end = threading.Event()
        self.begins = asyncio.Semaphore(0)
        self._webhooks = webhooks
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(telling, "due_webhooks", self._due)
        monkeypatch.setattr(telling, "take_batch", self._take)
        monkeypatch.setattr(telling, "send_batch", self._send)
        monkeypatch.setattr(telling, "note_sent", lambda *, webhook_id, **_: self.told.append(webhook_id))
        monkeypatch.setattr(telling, "drop_old_messages", lambda **_: 0)

    async def read(self, work: Callable[[], Any]) -> Any:
        return work()

    write = read

    def _due(self, **_: object) -> list[DueWebhook]:
        return sorted(self._webhooks, key=lambda webhook: self.told.count(webhook.id))

    def _take(self, *, webhook_id: int, **_: object) -> Batch:
        return Batch(webhook_id=webhook_id, url="", secret="", messages=[])

    def _send(self, _: object, batch: Batch) -> Sent:
        self.begun.append(batch.webhook_id)
        self._loop.call_soon_threadsafe(self.begins.release)
        self.may_end.wait(PATIENCE_SECONDS)
        return Sent(delivered=[1])


async def _begun(tellings: Telling, turns: int) -> list[int]:
    """The webhooks of the first turns."""
    task = asyncio.create_task(telling.tell_webhooks_forever(tellings))  # type: ignore[arg-type]
    try:
        for _ in range(turns):
            await tellings.begins.acquire()
        return tellings.begun[:turns]
    finally:
        tellings.may_end.set()
        task.cancel()
        await asyncio.wait([task])


def test_slow_receivers_of_one_project_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [DueWebhook(id=id, project_id=1) for id in range(1, 11)]

    async def scene() -> list[int]:
        return await _begun(Telling(monkeypatch, *slow, DueWebhook(id=11, project_id=2)), 3)

    assert sorted(asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS))) == [1, 2, 11]


SLOW_HOOKS = [DueWebhook(id=id, project_id=(id + 1) // 2) for id in range(1, 9)]
HONEST_HOOK = DueWebhook(id=9, project_id=5)


class Slow(Telling):
    """The receivers of four projects are slow, and asked first; a fifth has something to tell once all were slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, slow: str, honest: str) -> None:
        super().__init__(monkeypatch, *SLOW_HOOKS)
        self._urls = {webhook.id: slow for webhook in SLOW_HOOKS} | {HONEST_HOOK.id: honest}
        monkeypatch.setattr(telling, "send_batch", send_batch)

    def _due(self, **_: object) -> list[DueWebhook]:
        return [*SLOW_HOOKS, HONEST_HOOK] if {webhook.id for webhook in SLOW_HOOKS} <= set(self.told) else SLOW_HOOKS

    def _take(self, *, webhook_id: int, **_: object) -> Batch:
        message = Outgoing(id=1, uid=f"msg_{webhook_id}", body="{}")
        return Batch(webhook_id=webhook_id, url=self._urls[webhook_id], secret=SECRET, messages=[message])


def test_slow_projects_that_work_together_leave_places_to_others(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.RAINBOW_WEBHOOK_PRIVATE = True
    monkeypatch.setattr(telling, "_SLOW_TURN_SECONDS", 0.1)
    may_answer = threading.Event()
    all_seen = len(SLOW_HOOKS) + telling._AT_ONCE_OF_SLOW_PROJECTS
    answered: set[str] = set()

    def answer_slowly(handler: BaseHTTPRequestHandler) -> None:
        uid = handler.headers["webhook-id"]
        if uid in answered:
            may_answer.wait(PATIENCE_SECONDS)
        answered.add(uid)
        time.sleep(0.2)
        status(204)(handler)

    async def scene(slow: Receiver) -> None:
        tellings = Slow(monkeypatch, slow=slow.url, honest=receiver.url)
        task = asyncio.create_task(telling.tell_webhooks_forever(tellings))  # type: ignore[arg-type]
        try:
            await asyncio.to_thread(wait_until, lambda: receiver.got and len(slow.got) >= all_seen)
        finally:
            may_answer.set()
            task.cancel()
            await asyncio.wait([task])

    slow = Receiver()
    slow.answer = answer_slowly
    try:
        asyncio.run(scene(slow))
    finally:
        slow.close()

    assert len(slow.got) == all_seen


def test_a_project_is_slow_for_ten_minutes_after_a_slow_turn() -> None:
    at = [0.0]
    slow = SlowProjects(lambda: at[0])
    slow.note_turn(1, seconds=20.0)
    slow.note_turn(1, seconds=1.0)
    slow.note_turn(2, seconds=5.5)

    assert (1 in slow, 2 in slow) == (True, False)
    at[0] = 600.0
    assert 1 not in slow


def test_webhooks_are_told_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "_AT_ONCE", 1)

    async def scene() -> list[int]:
        tellings = Telling(monkeypatch, *(DueWebhook(id=id, project_id=id) for id in (1, 2, 3)))
        tellings.may_end.set()
        return await _begun(tellings, 6)

    assert asyncio.run(asyncio.wait_for(scene(), PATIENCE_SECONDS)) == [1, 2, 3, 1, 2, 3]


@pytest.mark.django_db
def test_messages_are_sent_in_parts(alpha: Any, alice: Any, now: datetime) -> None:
    made = webhook(now=now)
    for job_id in submitted_by(alice, AT_ONCE + 1, now=now):
        ended(alpha, job_id, now=now)

    first = take_batch(webhook_id=made.id, holder="me", now=now)
    assert first
    note_sent(webhook_id=made.id, holder="me", delivered=[one.id for one in first.messages], now=now)
    second = take_batch(webhook_id=made.id, holder="me", now=now)

    assert second
    assert (len(first.messages), len(second.messages)) == (AT_ONCE, 1)


# Where it may lead


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "fec0::1", "::10.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "5f00::1", "4000::1", "1fff::1",
    ],
)  # fmt: skip
def test_addresses_inside_of_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "::ffff:93.184.216.34", "2606:2800:220:1::1"])
def test_others_are(address: str) -> None:
    assert is_public(address)


def test_nothing_is_sent_to_an_address_inside(receiver: Receiver) -> None:
    with pytest.raises(NotDelivered, match="no public address"):
        Sender().send(url=receiver.url, secret=SECRET, uid="msg_1", timestamp=1, body="{}")
    assert receiver.got == []


def test_a_name_is_looked_up_once_and_that_address_is_taken(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a name leads to a moment later (DNS rebinding) does not count."""
    asked: list[str] = []
    port = int(receiver.url.split(":")[2].split("/")[0])

    def found(host: str, *args: Any, **more: Any) -> Any:
        asked.append(host)
        inside = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        outside = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))
        return [outside if len(asked) == 1 else inside]

    connected: list[Any] = []

    def connect(self: Any, address: Any) -> None:
        connected.append(address)
        raise OSError("not here")

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket.socket, "connect", connect)

    with pytest.raises(NotDelivered, match="no answer"):
        Sender().send(url=f"http://rebound.example:{port}/", secret=SECRET, uid="msg_1", timestamp=1, body="{}")

    assert (asked, connected) == (["rebound.example"], [("93.184.216.34", port)])
    assert receiver.got == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/", "ftp://hooks.example.org/", "https://", "https:///path", "hooks.example.org",
        "https://user:pass@hooks.example.org/", "https://hooks.example.org/#x", "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/", "https://höoks.example.org/", "https://a b/", "https://a\n.org/", "",
        "https://" + "x" * 2048,
    ],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(alice: Any, now: datetime, url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        webhook(url, now=now)
    assert refused.value.field == "url"


@pytest.mark.django_db
def test_who_gives_a_url_of_http_reads_what_allows_it(alice: Any, now: datetime) -> None:
    with pytest.raises(InvalidArgument, match="begins with https://; http:// needs RAINBOW_WEBHOOK_HTTP=yes"):
        webhook("http://hooks.example.org/", now=now)


@pytest.mark.django_db
def test_a_project_has_a_bounded_number(alice: Any, now: datetime) -> None:
    for _ in range(webhooks.MAX_OF_PROJECT):
        webhook(now=now)
    with pytest.raises(FailedPrecondition):
        webhook(now=now)


@pytest.mark.django_db
def test_operators_make_list_and_remove_them(alice: Any, now: datetime, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("webhook", "add", "chem", URL, "--event", "job.lost")
    made = Webhook.objects.get()
    assert f"Its secret, shown this once: {made.secret}" in capsys.readouterr().out

    call_command("webhook", "list")
    shown = capsys.readouterr().out
    assert URL in shown
    assert made.secret not in shown
    call_command("webhook", "list", "--json")
    assert json.loads(capsys.readouterr().out)[0]["events"] == [Notification.JOB_LOST]
    call_command("webhook", "resume", str(made.id))
    call_command("webhook", "remove", str(made.id))
    assert not Webhook.objects.exists()
    with pytest.raises(CommandError):
        call_command("webhook", "remove", str(made.id))
    with pytest.raises(CommandError):
        call_command("webhook", "add", "none", URL)


@pytest.mark.django_db
def test_a_lead_makes_sees_and_removes_them_over_rest(alpha: Any, now: datetime) -> None:
    lead, member = person_named("lena"), person_named("max")
    project_of(member, lead=lead, now=now)
    by_lead, by_member = browser_of(lead), browser_of(member)
    address = "/api/v1/projects/chem/webhooks"

    made = by_lead.post(address, {"url": URL, "events": ["job.lost"]}, "application/json")
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    assert made.json()["secret"].startswith("whsec_")
    (shown,) = by_lead.get(address).json()
    assert (shown["url"], shown["events"], shown["off_at"]) == (URL, ["job.lost"], None)
    assert "secret" not in shown
    one = f"{address}/{shown['id']}"
    assert [by_member.get(address).status_code, by_member.delete(one).status_code] == [404, 404]
    assert by_lead.post(address, {"url": "http://x.org/"}, "application/json").status_code == 400
    assert by_lead.post(f"{one}/resume").status_code == 204
    assert by_lead.delete(f"{address}/{shown['id'] + 1}").status_code == 404
    assert by_lead.delete(one).status_code == 204
    assert not Webhook.objects.exists()


def test_a_server_delivers_what_is_in_the_outbox(
    receiver: Receiver, start_server: Callable[..., RainbowServer]
) -> None:
    """A running server, with a receiver that fails first."""
    receiver.answer = status(503)
    server = start_server(environment={"RAINBOW_WEBHOOK_HTTP": "yes", "RAINBOW_WEBHOOK_PRIVATE": "yes"})
    project = "INSERT INTO clusters_project (name, made_at, shares_jobs) VALUES ('hooked', %s, %s)"
    hook = (
        "INSERT INTO jobs_webhook"
        " (project_id, url, events, secret, made_at, off_reason, failures, last_failure, holder)"
        " SELECT id, %s, '[]', %s, %s, '', 0, '', '' FROM clusters_project WHERE name = 'hooked'"
    )
    message = (
        "INSERT INTO jobs_webhookmessage (webhook_id, uid, at, body) SELECT id, 'msg_1', %s, '{}' FROM jobs_webhook"
    )
    now = datetime.now(UTC)
    execute(server.database_url, project, [now, False])
    execute(server.database_url, hook, [receiver.url, SECRET, now])
    execute(server.database_url, message, [now])

    wait_until(lambda: receiver.got)
    receiver.answer = status(204)
    wait_until(lambda: len(receiver.got) >= 2)
    wait_until(lambda: count(server.database_url, "jobs_webhookmessage") == (0,))

    assert {headers["webhook-id"] for headers, _ in receiver.got} == {"msg_1"}
