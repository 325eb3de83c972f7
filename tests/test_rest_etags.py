"""Lists of jobs that a caller has already are answered with 304, and only those."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.callers import Operator
from clusters.models import Cluster
from jobs.models import Job
from jobs.rest.job_serializers import JobBriefSerializer
from jobs.specs import SPEC_FIELDS
from tests.conftest import Member
from tests.support.members import project_of, submitted_by, token_of
from tests.support.queue import submitted
from tests.support.rest import Rest, puller, submitter
from tests.test_rest_operators import signed_in

pytestmark = pytest.mark.django_db
STEPS = 40


def tag_of(guest: Rest, path: str = "jobs") -> str:
    return str(guest.get(path)["ETag"])


class Changes:
    """What may happen to the jobs of a list."""

    def __init__(self, alpha: Member, beta: Member, alice: Operator, random: Random) -> None:
        self.alpha, self.beta, self.alice, self.random = alpha, beta, alice, random
        self.operator = signed_in("jobs.view_job", "jobs.change_job")
        self.agent = puller(alpha)
        self.steps: list[Callable[[], Any]] = [
            self.nothing, self.submit, self.submit_as_a_person, self.accept, self.accept_for_good, self.report,
            self.report_an_end, self.cancel, self.prioritize, self.move, self.requeue, self.rename_the_person,
            self.rename_the_cluster, self.prune,
        ]  # fmt: skip

    def some_job(self) -> int:
        ids = list(Job.objects.order_by("id").values_list("id", flat=True))
        return self.random.choice(ids) if ids else 1

    def nothing(self) -> None:
        pass

    def submit(self) -> None:
        submitter(self.alpha).post("jobs", {"command": "hostname", "labels": {"n": str(self.random.random())}})

    def submit_as_a_person(self) -> None:
        # Its name changes.
        person = Operator(user_id=self.alice.user_id, name=User.objects.get(id=self.alice.user_id).username)
        cluster = Cluster.objects.get(id=self.alpha.cluster.id).name
        submitted_by(person, cluster=cluster, now=Job.objects.latest("id").submitted_at)

    def accept(self) -> None:
        self._to_the_cluster("accept", {"ids": [self.some_job()], "agent": "a"})

    def accept_for_good(self) -> None:
        self._to_the_cluster("accept", {"ids": [self.some_job()]})

    def report(self) -> None:
        # Renews a lease, and tells what may have changed.
        said = {"state": "running", "native_id": str(self.random.choice([1, 2])), "reason": self.random.choice("ab")}
        self._report(said)

    def report_an_end(self) -> None:
        self._report({"state": self.random.choice(["completed", "failed"]), "exit_code": self.random.choice([0, 1])})

    def cancel(self) -> None:
        self.operator.post(f"jobs/{self.some_job()}/cancel", {"reason": "enough"})

    def prioritize(self) -> None:
        wish = {"ids": [self.some_job()], "priority": self.random.choice([0, 1]), "reason": "now"}
        self.operator.post("jobs/prioritize", wish)

    def move(self) -> None:
        home = Cluster.objects.get(id=self.alpha.cluster.id).name
        self.operator.post(
            "jobs/move", {"ids": [self.some_job()], "cluster": self.random.choice([home, "beta"]), "reason": "full"}
        )

    def requeue(self) -> None:
        self.operator.post(f"jobs/{self.some_job()}/requeue", {"reason": "again"})

    def rename_the_person(self) -> None:
        User.objects.filter(id=self.alice.user_id).update(username=self.random.choice(["alice", "alicia"]))

    def rename_the_cluster(self) -> None:
        Cluster.objects.filter(id=self.alpha.cluster.id).update(name=self.random.choice(["alpha", "alfa"]))

    def prune(self) -> None:
        Job.objects.filter(id=self.some_job(), state__in=["completed", "failed", "cancelled"]).delete()

    def _to_the_cluster(self, call: str, content: dict[str, Any]) -> None:
        name = Cluster.objects.get(id=self.alpha.cluster.id).name
        self.agent.post(f"clusters/{name}/{call}", content)

    def _report(self, said: dict[str, Any]) -> None:
        held = list(Job.objects.filter(agent="a", state__in=["accepted", "running", "lost"]).order_by("id"))
        if held:
            job = self.random.choice(held)
            self._to_the_cluster("report", {"agent": "a", "reports": [{"id": job.id, "attempt": job.attempt, **said}]})


@pytest.mark.parametrize("seed", range(2))
def test_any_change_that_a_list_shows_changes_its_tag_and_no_other_does(
    alpha: Member, beta: Member, alice: Operator, now: Any, seed: int
) -> None:
    project_of(alice, now=now)
    submitted(alpha, 3, now=now)
    changes = Changes(alpha, beta, alice, Random(seed))
    callers = {
        "token": submitter(alpha),
        "secret": puller(alpha),
        "person": Rest(token_of(alice)),
        "operator": signed_in("jobs.view_job", "jobs.see_content_of_job"),
        "viewer": signed_in("jobs.view_job"),
    }
    lists = [(caller, path) for caller in callers for path in ("jobs", "jobs?page_size=2", "jobs?state=queued")]
    had = {one: callers[one[0]].get(one[1]) for one in lists}

    for _ in range(STEPS):
        changes.random.choice(changes.steps)()
        for one, before in had.items():
            caller, path = callers[one[0]], one[1]
            after, asked = caller.get(path), caller.get(path, If_None_Match=before["ETag"])
            assert asked.status_code == (304 if after.content == before.content else 200), (one, before.content)
            assert asked["ETag"] == after["ETag"]
            assert (after["ETag"] == before["ETag"]) == (after.content == before.content)
            had[one] = after


# As the scheduler, agents and operators change them. What a submitter said stays as it is, but for the priority.
CHANGED = {
    "priority": 1, "state": "accepted", "attempt": 2, "agent": "b", "native_id": "2", "exit_code": 1, "reason": "b",
    **dict.fromkeys(
        ("submitted_at", "accepted_at", "started_at", "lost_at", "cancel_requested_at", "lease_expires_at", "retry_at"),
        datetime(2026, 11, 1, 13, 0, 0, 1, tzinfo=UTC),
    ),
}  # fmt: skip
OF_OTHER_TABLES = {"cluster", "pool", "owner", "project", "submitted_by"}
ONLY_OF_FINAL_JOBS = {"finished_at", "end_cause"}


@pytest.mark.parametrize("column", CHANGED)
def test_each_value_that_changes_changes_the_tag(alpha: Member, now: Any, column: str) -> None:
    (job,) = submitted(alpha, 1, now=now)
    Job.objects.filter(id=job).update(
        state="running", agent="a", lease_seconds=60, accepted_at=now, started_at=now, lost_at=now,
        cancel_requested_at=now, lease_expires_at=now,
    )  # fmt: skip
    guest = submitter(alpha)
    before = tag_of(guest)

    Job.objects.filter(id=job).update(**{column: CHANGED[column]})

    assert guest.get("jobs", If_None_Match=before).status_code == 200


def test_no_value_that_changes_is_left_out() -> None:
    shown = set(JobBriefSerializer.Meta.fields) - {"id"}

    assert shown - set(SPEC_FIELDS) - OF_OTHER_TABLES - ONLY_OF_FINAL_JOBS | {"priority"} == set(CHANGED)


def test_what_is_known_is_neither_sent_nor_read(alpha: Member, now: Any) -> None:
    submitted(alpha, 3, now=now, command="secret-command")
    guest = submitter(alpha)
    tag = tag_of(guest)

    with CaptureQueriesContext(connection) as captured:
        same = guest.get("jobs", If_None_Match=tag)

    assert (same.status_code, same.content) == (304, b"")
    assert same["ETag"] == tag
    assert not any('j."command"' in item["sql"] and "LENGTH" not in item["sql"] for item in captured)


@pytest.mark.parametrize("said", ["W/{tag}", '"other", {tag}', "*"])
def test_a_tag_may_be_said_in_any_form(alpha: Member, now: Any, said: str) -> None:
    guest = submitter(alpha)

    assert guest.get("jobs", If_None_Match=said.format(tag=tag_of(guest))).status_code == 304
    assert guest.get("jobs", If_None_Match='"other"').status_code == 200


def test_a_tag_is_of_one_form_and_one_release(alpha: Member, now: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = submitter(alpha)
    tag = tag_of(guest)

    assert guest.get("jobs", If_None_Match=tag, accept="application/json; indent=2").status_code == 200
    assert guest.get("jobs", If_None_Match=tag, accept="text/html").status_code == 200
    monkeypatch.setattr("rainbow_site.web.rest.conditional.__version__", "next")
    assert guest.get("jobs", If_None_Match=tag).status_code == 200


def test_whose_credential_no_longer_counts_is_not_told_that_nothing_changed(alpha: Member, beta: Member) -> None:
    tag = tag_of(submitter(alpha))

    assert Rest("rbt_" + "x" * 32).get("jobs", If_None_Match=tag).status_code == 401
    assert Rest().get("jobs", If_None_Match="*").status_code == 401


def test_caches_are_told_that_answers_depend_on_the_caller(alpha: Member) -> None:
    answer = submitter(alpha).get("jobs")

    assert answer["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie", "Accept"} <= {name.strip() for name in answer["Vary"].split(",")}
