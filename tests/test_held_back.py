"""Holding back the jobs of a token whose jobs fail one after the other: those, and no others."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from clusters.callers import Caller, Claim
from clusters.models import Cluster, CredentialKind, Streak
from clusters.services.authenticate import admit
from clusters.services.credentials import create_credential
from clusters.services.pause import pause_cluster, resume_cluster, resume_token
from jobs.models import Job
from jobs.queries.explain import explain_wait
from jobs.queries.news import jobs_wait_for, queues_with_jobs
from jobs.queries.queue import request_jobs
from jobs.queries.warnings import warn_caller
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.move import move_jobs
from jobs.services.report import report_jobs
from jobs.states import JobState
from rainbow.errors import FailedPrecondition, InvalidArgument
from tests.support.lives import AGENT
from tests.support.queue import operator_named, submitted
from tests.support.rest import Rest

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


def ended(
    member: Any, state: JobState, *, now: datetime, hold_after: int = 3, ran: timedelta = SECOND, **said: Any
) -> int:
    """A job of the member's that its agent ran, and that came to this end."""
    (job_id,) = submitted(member, now=now)
    accept_jobs(caller=member.puller, job_ids=[job_id], agent=AGENT, now=now)
    report = Report(**{
        "job_id": job_id, "attempt": 1, "state": state, "native_id": "7", "started_at": now, "finished_at": now + ran,
        **said,
    })  # fmt: skip
    report_jobs(caller=member.puller, agent=AGENT, reports=[report], hold_after=hold_after, now=now + ran)
    return job_id


def failed(member: Any, number: int = 1, *, now: datetime, **said: Any) -> None:
    for _ in range(number):
        ended(member, JobState.FAILED, now=now, **said)


def offered(member: Any) -> list[int]:
    return [job.id for job in request_jobs(caller=member.puller, now=datetime.now(UTC))]


@pytest.fixture
def other(alpha: Any, now: datetime) -> Any:
    """Somebody else who submits to alpha, with a token of their own."""
    new = create_credential(cluster=alpha.cluster, kind=CredentialKind.TOKEN, label="other", by=None, now=now)
    return _Submitter(alpha, admit(Claim(value=new.value), now=now))


class _Submitter:
    def __init__(self, member: Any, submitter: Caller) -> None:
        self.cluster, self.puller, self.submitter = member.cluster, member.puller, submitter


def test_the_jobs_of_a_token_are_held_back_and_those_of_others_go_on(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now, reason="ended with\nexit code 1")

    submitted(alpha, 2, now=now)
    others = submitted(other, 2, now=now)

    assert offered(alpha) == others
    held = Streak.objects.get()
    assert (held.credential_id, held.held_at) == (alpha.submitter.credential_id, now + SECOND)
    assert held.reason == "3 jobs in a row failed at once; the last one: ended with exit code 1"


def test_fewer_hold_nothing_back(alpha: Any, now: datetime) -> None:
    failed(alpha, 2, now=now)
    waiting = submitted(alpha, now=now)

    assert offered(alpha) == waiting


@pytest.mark.parametrize(
    "between",
    [
        {"state": JobState.COMPLETED},
        {"state": JobState.FAILED, "ran": timedelta(seconds=5)},
    ],
    ids=["well", "late"],
)
def test_another_end_begins_a_new_row(alpha: Any, now: datetime, between: dict[str, Any]) -> None:
    failed(alpha, 2, now=now)
    ended(alpha, now=now, **between)
    failed(alpha, 2, now=now)
    waiting = submitted(alpha, now=now)

    assert offered(alpha) == waiting


@pytest.mark.parametrize(
    "between",
    [{"state": JobState.CANCELLED}, {"state": JobState.FAILED, "native_id": "", "started_at": None}],
    ids=["cancelled", "refused before a scheduler had it"],
)
def test_what_tells_of_one_job_alone_neither_counts_nor_ends_a_row(
    alpha: Any, now: datetime, between: dict[str, Any]
) -> None:
    failed(alpha, 2, now=now)
    for _ in range(5):
        ended(alpha, now=now, **between)
    assert not Streak.objects.filter(held_at__isnull=False).exists()

    failed(alpha, now=now)

    assert Streak.objects.filter(held_at__isnull=False).exists()


def test_what_the_scheduler_does_not_take_counts(alpha: Any, now: datetime) -> None:
    failed(alpha, 3, now=now, started_at=None, reason="Slurm refused: Invalid account")

    assert Streak.objects.get().held_at


def test_the_failures_of_one_are_not_those_of_another(alpha: Any, other: Any, now: datetime) -> None:
    for member in (alpha, other, alpha, other):
        failed(member, now=now)

    assert not Streak.objects.filter(held_at__isnull=False).exists()


def test_an_agent_that_wants_none_held_back_gets_none_held_back(alpha: Any, now: datetime) -> None:
    failed(alpha, 40, now=now, hold_after=0)

    assert not Streak.objects.exists()


def test_a_row_that_is_over_leaves_nothing_behind(alpha: Any, now: datetime) -> None:
    failed(alpha, 2, now=now)
    ended(alpha, JobState.COMPLETED, now=now)

    assert not Streak.objects.exists()


def test_a_good_end_of_one_that_ran_already_does_not_let_the_others_go_on(alpha: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    ended(alpha, JobState.COMPLETED, now=now)
    submitted(alpha, now=now)

    assert offered(alpha) == []


def test_a_number_below_nothing_is_refused(alpha: Any, now: datetime) -> None:
    with pytest.raises(InvalidArgument, match="hold_after: must be 0 to"):
        report_jobs(caller=alpha.puller, agent=AGENT, reports=[], hold_after=-1, now=now)


def test_a_job_that_was_moved_is_held_back_where_it_failed(alpha: Any, beta: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    moved = submitted(alpha, now=now)
    move_jobs(by=operator_named("olga"), job_ids=moved, cluster_id=beta.cluster.id, reason="x", now=now)

    assert offered(beta) == moved


# Letting them go on


def test_the_cluster_lets_all_go_on(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    failed(other, 3, now=now)
    waiting = [*submitted(alpha, now=now), *submitted(other, now=now)]
    assert offered(alpha) == []

    resumed = resume_cluster(cluster_id=alpha.cluster.id, by=alpha.puller, now=now)

    assert [streak.credential.label for streak in resumed.held_back] == ["default", "other"]
    assert offered(alpha) == waiting


def test_a_token_lets_its_own_go_on(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    failed(other, 3, now=now)
    submitted(alpha, now=now)
    mine = submitted(other, now=now)

    resume_token(by=other.submitter, now=now)

    assert offered(alpha) == mine


def test_after_that_it_takes_a_whole_row_again(alpha: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    resume_cluster(cluster_id=alpha.cluster.id, by=alpha.puller, now=now)
    failed(alpha, 2, now=now)
    waiting = submitted(alpha, now=now)

    assert offered(alpha) == waiting


def test_where_nothing_is_held_back_there_is_nothing_to_resume(alpha: Any, now: datetime) -> None:
    failed(alpha, 2, now=now)

    with pytest.raises(FailedPrecondition, match="holds no jobs back"):
        resume_cluster(cluster_id=alpha.cluster.id, by=alpha.puller, now=now)
    with pytest.raises(FailedPrecondition, match="no jobs of this token"):
        resume_token(by=alpha.submitter, now=now)


# Telling


def test_who_waits_reads_why(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now, reason="no such file")
    (mine,), (others,) = submitted(alpha, now=now), submitted(other, now=now)
    later = now + timedelta(minutes=3, seconds=1)

    waits = {id: explain_wait(job=Job.objects.get(id=id), now=later) for id in (mine, others)}
    told = {id: wait.summary for id, wait in waits.items() if wait}

    reason = "3 jobs in a row failed at once; the last one: no such file"
    assert f"alpha has held back the jobs of token default for 3 minutes: {reason}" in told[mine]
    assert "held back" not in told[others]


def test_who_submits_is_warned(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)

    warned, unwarned = (admit(Claim(value=value), now=now) for value in (alpha.token, alpha.secret))

    assert warn_caller(warned, now=now).startswith("alpha holds back the jobs of this token: 3 jobs in a row failed")
    assert "holds back" not in warn_caller(unwarned, now=now)


def test_calls_that_wait_are_not_woken_for_what_is_held_back(alpha: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    submitted(alpha, now=now)
    held = queues_with_jobs(clusters=["alpha"])

    resume_cluster(cluster_id=alpha.cluster.id, by=alpha.puller, now=now)

    assert (held, queues_with_jobs(clusters=["alpha"])) == ([], ["alpha"])


def test_a_job_that_came_wakes_further_calls_of_a_cluster_that_holds_others_back(
    alpha: Any, other: Any, now: datetime
) -> None:
    failed(alpha, 3, now=now)
    nothing = jobs_wait_for("alpha")

    submitted(other, now=now)

    assert (nothing, jobs_wait_for("alpha")) == (False, True)


# The doors


def test_over_rest_a_cluster_shows_what_it_holds_back_and_a_token_itself(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    failed(other, 3, now=now)

    of_all, of_mine = (Rest(value).get("clusters/alpha").json()["held_back"] for value in (alpha.secret, alpha.token))

    assert [held["token"] for held in of_all] == ["default", "other"]
    assert [(held["token"], held["reason"]) for held in of_mine] == [("default", "3 jobs in a row failed at once")]


def test_over_rest_a_token_resumes_its_own_and_the_secret_all(alpha: Any, other: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)
    failed(other, 3, now=now)

    by_token = Rest(alpha.token).post("clusters/alpha/resume")
    again = Rest(alpha.token).post("clusters/alpha/resume")
    by_secret = Rest(alpha.secret).post("clusters/alpha/resume")

    assert (by_token.status_code, again.status_code, by_secret.status_code) == (200, 409, 200)
    assert not Streak.objects.exists()


def test_over_rest_a_token_ends_no_pause(alpha: Any, now: datetime) -> None:
    pause_cluster(cluster_id=alpha.cluster.id, reason="maintenance", by=None, now=now)

    assert Rest(alpha.token).post("clusters/alpha/resume").status_code == 409
    assert Cluster.objects.get(id=alpha.cluster.id).paused_at


def test_over_rest_nobody_resumes_another_cluster(alpha: Any, mallory: Any, now: datetime) -> None:
    failed(alpha, 3, now=now)

    assert Rest(mallory.secret).post("clusters/alpha/resume").status_code == 401
    assert Streak.objects.exists()


def test_the_page_of_a_cluster_says_what_it_holds_back_and_offers_to_resume(
    alpha: Any, now: datetime, admin_client: Client
) -> None:
    failed(alpha, 3, now=now)
    page = reverse("admin:clusters_cluster_change", args=[alpha.cluster.id])

    shown = admin_client.get(page).content.decode()
    admin_client.post(
        reverse("admin:clusters_cluster_act", args=["resume"]), {"id": alpha.cluster.id, "reason": "mended"}
    )

    assert "alpha has held back the jobs of token default" in shown
    assert "Resume…" in shown
    assert not Streak.objects.exists()
    assert "Resume…" not in admin_client.get(page).content.decode()
