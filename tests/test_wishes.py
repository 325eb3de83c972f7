"""What servers want of agents before their next reports, and that agents do it within a second."""

import time
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from jobs.models import JobEvent, Wish
from jobs.outcomes import SignalOutcome
from jobs.queries.wishes import LIVE_FOR, MOST_WISHES, old_wishes_exist, wishes_for
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.report import report_jobs
from jobs.services.signal import MOST_OF_A_JOB, signal_jobs
from jobs.services.wishes import forget_wishes, settle_wishes
from jobs.states import JobState, WishKind
from rainbow.agent import context
from rainbow.agent.wish_listener import FIRST_PAUSE_SECONDS, WishListener
from rainbow.client import Client
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import SignalOutcome as ToldOutcome
from tests.support.agents import Crew, crew
from tests.support.lives import AGENT
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.queue import submitted
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.support.wishes import at_work, run_at, wishes_of

in_database = pytest.mark.django_db


def running(member: Any, *, now: datetime, agent: str = AGENT) -> int:
    (job_id,) = submitted(member, now=now)
    accept_jobs(caller=member.puller, job_ids=[job_id], agent=agent, now=now)
    report = Report(job_id=job_id, attempt=1, state=JobState.RUNNING, started_at=now)
    report_jobs(caller=member.puller, agent=agent, reports=[report], now=now)
    return job_id


def signal(member: Any, job_id: int, *, now: datetime, name: str = "USR1") -> SignalOutcome:
    return signal_jobs(by=member.submitter, job_ids=[job_id], signal=name, now=now)[0].outcome


@in_database
def test_a_cancel_of_many_jobs_is_one_wish_for_each_agent(alpha: Any, now: datetime) -> None:
    ids = [running(alpha, now=now), running(alpha, now=now), running(alpha, now=now, agent="login2")]

    cancel_jobs(by=alpha.submitter, job_ids=ids, now=now)

    (wish,) = wishes_for(caller=alpha.puller, agent=AGENT, now=now)
    (other,) = wishes_for(caller=alpha.puller, agent="login2", now=now)
    assert (wish.kind, wish.job_ids, other.job_ids) == (WishKind.CANCEL, ids[:2], ids[2:])


@in_database
def test_a_waiting_job_that_is_cancelled_wants_no_agent(alpha: Any, now: datetime) -> None:
    cancel_jobs(by=alpha.submitter, job_ids=submitted(alpha, now=now), now=now)

    assert not Wish.objects.exists()


@in_database
def test_a_signal_is_an_event_once_it_was_sent(alpha: Any, now: datetime) -> None:
    job_id = running(alpha, now=now)

    assert signal(alpha, job_id, now=now) is SignalOutcome.REQUESTED
    (wish,) = wishes_for(caller=alpha.puller, agent=AGENT, now=now)
    before = JobEvent.objects.filter(job_id=job_id, what="signalled").count()
    settle_wishes(caller=alpha.puller, agent=AGENT, done={wish.id: ""}, now=now)
    settle_wishes(caller=alpha.puller, agent=AGENT, done={wish.id: ""}, now=now)

    assert (wish.kind, wish.job_ids, wish.attempt, wish.content) == (WishKind.SIGNAL, [job_id], 1, {"signal": "USR1"})
    event = JobEvent.objects.get(job_id=job_id, what="signalled")
    assert before == 0
    assert (event.state, event.why, event.credential_id) == ("running", "USR1", alpha.submitter.credential_id)
    assert wishes_for(caller=alpha.puller, agent=AGENT, now=now) == []


@in_database
def test_the_event_of_a_signal_says_why_it_could_not_be_sent(alpha: Any, now: datetime) -> None:
    job_id = running(alpha, now=now)
    signal(alpha, job_id, now=now)
    (wish,) = wishes_for(caller=alpha.puller, agent=AGENT, now=now)

    settle_wishes(caller=alpha.puller, agent=AGENT, done={wish.id: "the job does not run"}, now=now)

    why = JobEvent.objects.get(job_id=job_id, what="signalled").why
    assert why == "USR1 could not be sent: the job does not run"


@in_database
def test_ten_signals_at_most_wait_for_a_job(alpha: Any, now: datetime) -> None:
    job_id, other = running(alpha, now=now), running(alpha, now=now)

    outcomes = [signal(alpha, job_id, now=now) for _ in range(MOST_OF_A_JOB + 1)]

    assert set(outcomes[:-1]) == {SignalOutcome.REQUESTED}
    assert outcomes[-1] is SignalOutcome.TOO_MANY
    assert signal(alpha, other, now=now) is SignalOutcome.REQUESTED
    assert signal(alpha, job_id, now=now + LIVE_FOR + timedelta(seconds=1)) is SignalOutcome.REQUESTED


@in_database
def test_only_a_job_that_runs_is_sent_a_signal(alpha: Any, now: datetime) -> None:
    (waiting,) = submitted(alpha, now=now)
    (accepted,) = submitted(alpha, now=now)
    accept_jobs(caller=alpha.puller, job_ids=[accepted], agent=AGENT, now=now)

    assert {signal(alpha, id, now=now) for id in (waiting, accepted)} == {SignalOutcome.NOT_RUNNING}


@in_database
def test_a_stranger_may_not_signal(alpha: Any, mallory: Any, now: datetime) -> None:
    job_id = running(alpha, now=now)

    assert signal(mallory, job_id, now=now) is SignalOutcome.NOT_FOUND
    assert signal(mallory, 2**31 - 1, now=now) is SignalOutcome.NOT_FOUND
    assert not Wish.objects.exists()


@in_database
def test_an_agent_of_another_cluster_neither_hears_nor_settles(alpha: Any, mallory: Any, now: datetime) -> None:
    signal(alpha, running(alpha, now=now), now=now)
    (wish,) = wishes_for(caller=alpha.puller, agent=AGENT, now=now)

    settle_wishes(caller=mallory.puller, agent=AGENT, done={wish.id: ""}, now=now)

    assert wishes_for(caller=mallory.puller, agent=AGENT, now=now) == []
    assert wishes_for(caller=alpha.puller, agent=AGENT, now=now) == [wish]


@in_database
def test_what_no_agent_collects_is_forgotten(alpha: Any, now: datetime) -> None:
    signal(alpha, running(alpha, now=now), now=now)
    later = now + LIVE_FOR + timedelta(seconds=1)

    assert wishes_for(caller=alpha.puller, agent=AGENT, now=later) == []
    assert not old_wishes_exist(now=later)
    assert old_wishes_exist(now=later + timedelta(seconds=5))
    assert forget_wishes(now=later + timedelta(seconds=5)) == 1
    assert not Wish.objects.exists()


@in_database
def test_an_answer_has_a_bounded_number_of_wishes(alpha: Any, now: datetime) -> None:
    job_id = running(alpha, now=now)
    made = {"kind": WishKind.SIGNAL, "cluster_id": alpha.cluster.id, "agent": AGENT, "job_id": job_id, "made_at": now}
    Wish.objects.bulk_create(Wish(**made, content={"signal": "USR1"}) for _ in range(MOST_WISHES + 1))

    assert len(wishes_for(caller=alpha.puller, agent=AGENT, now=now)) == MOST_WISHES

    cancel_jobs(by=alpha.submitter, job_ids=[job_id], now=now)

    assert wishes_for(caller=alpha.puller, agent=AGENT, now=now)[0].kind == WishKind.CANCEL


@in_database
def test_a_signal_for_an_attempt_that_is_over_is_told_with_that_attempt(alpha: Any, now: datetime) -> None:
    """The agent of the next attempt has another one, and does not send it."""
    job_id = running(alpha, now=now)
    signal(alpha, job_id, now=now)
    (wish,) = wishes_for(caller=alpha.puller, agent=AGENT, now=now)

    assert wish.attempt == 1


def test_a_waiting_call_is_answered_at_once(remote: Remote) -> None:
    job_id = run_at(remote, agent="login1")
    request = pb.AwaitWishesRequest(cluster=remote.name, agent="login1", wait_seconds=300)
    waiting = remote.stub.AwaitWishes.future(request, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)
    # The server has it once it answers what came after it.
    remote.stub.Serial(pb.Request(), timeout=PATIENCE_SECONDS)

    asked_at = time.monotonic()
    remote.stub.CancelJobs(pb.CancelJobsRequest(jobids=[job_id]), metadata=remote.by_token, timeout=PATIENCE_SECONDS)
    (wish,) = waiting.result().wishes

    assert (wish.kind, list(wish.jobids)) == (pb.Wish.KIND_CANCEL, [job_id])
    assert time.monotonic() - asked_at < PATIENCE_SECONDS / 2, "it was not the end of its time that ended it"
    assert wishes_of(remote, agent="login1") == [wish], "until it is done, it is told again"
    assert wishes_of(remote, agent="login1", done=[pb.DoneWish(id=wish.id)]) == []


def test_a_call_for_which_there_is_nothing_ends_in_time(remote: Remote) -> None:
    assert wishes_of(remote, agent="login1", wait_seconds=1) == []


def state_of(agent: Crew, jobid: int) -> str:
    return str(agent.job(jobid).state)


def test_a_cancel_reaches_a_running_job_before_the_next_heartbeat(
    server: RainbowServer, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "HEARTBEAT", timedelta(seconds=2 * PATIENCE_SECONDS))
    with crew(remote, server.address, tmp_path / "state", lease_seconds=3600) as made, at_work(made) as agent:
        jobid = agent.submit("sleep 600")
        wait_until(lambda: state_of(agent, jobid) == "running")

        agent.client.cancel_jobs([jobid])

        wait_until(lambda: state_of(agent, jobid) == "cancelled")
        assert agent.agent._context.settings.heartbeat > timedelta(seconds=PATIENCE_SECONDS)


def test_a_signal_reaches_a_running_job(agent: Crew, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    jobid = agent.submit(f"trap 'echo told; exit 3' USR1; touch {ready}; while :; do sleep 0.1; done")
    wait_until(ready.exists)
    wait_until(lambda: state_of(agent, jobid) == "running")

    (result,) = agent.client.signal_jobs([jobid], "USR1")
    wait_until(lambda: state_of(agent, jobid) == "failed")
    wait_until(lambda: "signalled" in [event.what for event in agent.job(jobid, with_events=True).events])
    job = agent.job(jobid, with_events=True)

    assert result.outcome is ToldOutcome.REQUESTED
    assert job.exit_code == 3
    assert "USR1" in [event.why for event in job.events]


def test_a_stopped_job_goes_on_when_it_is_told(agent: Crew, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    jobid = agent.submit(f"while :; do echo >> {beats}; sleep 0.05; done")
    wait_until(beats.exists)
    wait_until(lambda: state_of(agent, jobid) == "running")

    agent.client.signal_jobs([jobid], "STOP")
    wait_until(lambda: _is_still(beats))
    size = beats.stat().st_size
    agent.client.signal_jobs([jobid], "CONT")
    wait_until(lambda: beats.stat().st_size > size)
    agent.client.cancel_jobs([jobid])
    wait_until(lambda: state_of(agent, jobid) == "cancelled")


def _is_still(file: Path) -> bool:
    before = file.stat().st_size
    time.sleep(0.5)
    return file.stat().st_size == before


def test_a_server_that_answers_nothing_at_once_is_not_asked_all_the_time() -> None:
    client = _Hasty()
    listener = WishListener(cast(Client, client), AGENT, tell=lambda: None, send=lambda wish: "")

    listener.start()
    wait_until(lambda: len(client.asked_at) >= 4)
    listener.stop()

    assert min(later - earlier for earlier, later in pairwise(client.asked_at)) > 0.9 * FIRST_PAUSE_SECONDS


class _Hasty:
    """Of a server that keeps no call open."""

    def __init__(self) -> None:
        self.asked_at: list[float] = []

    def begin_to_await_wishes(self, **_: Any) -> "_Hasty":
        self.asked_at.append(time.monotonic())
        return self

    def result(self) -> tuple[()]:
        return ()

    def cancel(self) -> None:
        """It is over."""
