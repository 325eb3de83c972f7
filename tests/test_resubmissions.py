"""Jobs that are submitted again: the new one is what the old one was, with the changes, and each names the other."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.queries import reply_size
from jobs.queries.lookup import get_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.resubmit import TooMuchForOneCall, resubmit_all, resubmit_job, resubmit_jobs
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState
from rainbow import records
from rainbow.client import Client
from rainbow.errors import AlreadyExists, InvalidArgument, NotFound
from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Run, answer
from tests.support.lives import job_in, row
from tests.support.queue import submitted
from tests.support.rest import submitter
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

pytestmark = pytest.mark.django_db


def again(member: Any, job_id: int, *, now: datetime, key: str = "", **changes: Any) -> int:
    return resubmit_job(job_id=job_id, by=member.submitter, changes=changes, key=key, now=now).job_id


def test_the_new_job_is_what_the_old_one_was_with_the_changes(alpha: Any, now: datetime) -> None:
    said = {"command": "make", "nodes": 2, "labels": {"x": "1"}, "time_limit_seconds": 60, "environment": {"A": "1"}}
    old = job_in(JobState.FAILED, alpha, now=now, **said)

    new = Job.objects.get(id=again(alpha, old, now=now, time_limit_seconds=7200, retry_on=("timed_out",), retry_most=1))

    assert (new.state, new.attempt, new.command, new.nodes) == ("queued", 1, "make", 2)
    assert (new.labels, new.environment, new.time_limit_seconds) == ({"x": "1"}, {"A": "1"}, 7200)
    assert (new.retry_most, new.retry_on, new.resubmission_of) == (1, ["timed_out"], old)


def test_each_is_shown_with_the_other(alpha: Any, now: datetime) -> None:
    old = job_in(JobState.FAILED, alpha, now=now)
    first, second = again(alpha, old, now=now), again(alpha, old, now=now)

    found = get_jobs(by=alpha.submitter, job_ids=[old, first])

    assert found[old].resubmissions == [second, first]
    assert (found[first].resubmission_of, found[first].resubmissions) == (old, ())


def test_a_job_that_the_caller_does_not_see_is_not_there(alpha: Any, beta: Any, now: datetime) -> None:
    theirs = job_in(JobState.FAILED, beta, now=now)

    with pytest.raises(NotFound):
        again(alpha, theirs, now=now)
    with pytest.raises(NotFound):
        again(alpha, 2**31 - 1, now=now)


def test_no_job_is_submitted_in_place_of_one_that_its_submitter_does_not_see(
    alpha: Any, beta: Any, now: datetime
) -> None:
    theirs, mine = job_in(JobState.FAILED, beta, now=now), job_in(JobState.FAILED, alpha, now=now)
    specs = [JobSpec(command="true", resubmission_of=old) for old in (theirs, mine)]
    orders = [Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=spec) for spec in specs]

    refused, taken = submit_jobs(orders=orders, now=now)

    assert isinstance(refused, InvalidArgument)
    assert refused.field == "resubmission_of"
    assert isinstance(taken, Receipt)


def test_a_signature_is_not_carried_over_and_that_is_told(alpha: Any, now: datetime) -> None:
    signed, plain = (job_in(JobState.FAILED, alpha, now=now, signature=text) for text in ("{}", ""))

    results = resubmit_jobs(by=alpha.submitter, job_ids=[signed, plain], now=now)

    assert [result.signed for result in results] == [True, False]
    assert {job.signature for job in Job.objects.filter(resubmission_of__gt=0)} == {""}


def test_an_expiry_that_is_over_is_left_out(alpha: Any, now: datetime) -> None:
    (old,) = submitted(alpha, now=now, expires_at=now + timedelta(hours=1))

    assert row(again(alpha, old, now=now))["expires_at"] == now + timedelta(hours=1)
    assert row(again(alpha, old, now=now + timedelta(hours=2)))["expires_at"] is None


def test_the_same_key_makes_no_second_job(alpha: Any, now: datetime) -> None:
    old, other = (job_in(JobState.FAILED, alpha, now=now) for _ in range(2))

    assert again(alpha, old, key="k", now=now) == again(alpha, old, key="k", now=now)
    with pytest.raises(AlreadyExists):
        again(alpha, other, key="k", now=now)
    pair = [resubmit_jobs(by=alpha.submitter, job_ids=[old, other], key="both", now=now) for _ in range(2)]
    assert len({result.outcome.job_id for results in pair for result in results}) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["signature", "idempotency_key", "resubmission_of", "state"])
def test_what_is_of_one_job_alone_cannot_be_changed(alpha: Any, now: datetime, name: str) -> None:
    old = job_in(JobState.FAILED, alpha, now=now)

    with pytest.raises(InvalidArgument, match=name):
        again(alpha, old, now=now, **{name: "x"})


def test_a_change_is_checked_as_every_submission_is(alpha: Any, now: datetime) -> None:
    old = job_in(JobState.FAILED, alpha, now=now)

    with pytest.raises(InvalidArgument) as refused:
        again(alpha, old, now=now, nodes=0)
    assert refused.value.field == "nodes"


def test_a_submission_of_its_own_asks_for_no_other_job(alpha: Any, now: datetime) -> None:
    submitted(alpha, now=now)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        submitted(alpha, now=now)

    assert not [query for query in queries if "resubmission_of" in query["sql"] and query["sql"].startswith("SELECT")]


def failed(rainbow: Run, remote: Remote, *options: str) -> int:
    jobid = answer(rainbow("submit", "--json", *options, "--", "make", "test"))["jobid"]
    rainbow("request", "--accept", "1", "--agent", "login1")
    end = pb.JobReport(jobid=jobid, attempt=1, state=pb.JOB_STATE_FAILED, native_id="7", exit_code=1)
    remote.stub.ReportJobs(pb.ReportJobsRequest(agent="login1", reports=[end]), metadata=remote.by_secret)
    return int(jobid)


def test_of_jobs_that_ask_for_too_much_together_each_of_the_rest_is_for_another_call(
    alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply_size, "ANSWER_BYTES", 2_500)
    old = [job_in(JobState.FAILED, alpha, now=now, command="x" * 1_000) for _ in range(3)]

    results = resubmit_jobs(by=alpha.submitter, job_ids=old, now=now)
    whole = resubmit_all(by=alpha.submitter, job_ids=old, changes={}, project="", key="again", now=now)

    assert [isinstance(one.outcome, Receipt) for one in results] == [True, True, False]
    assert isinstance(results[2].outcome, TooMuchForOneCall)
    new = [one.outcome.job_id for one in whole if isinstance(one.outcome, Receipt)]
    assert [Job.objects.get(id=id).resubmission_of for id in new] == old
    repeated = resubmit_all(by=alpha.submitter, job_ids=old, changes={}, project="", key="again", now=now)
    assert [one.outcome.job_id for one in repeated if isinstance(one.outcome, Receipt)] == new


def test_what_changes_ask_for_counts_for_each_job(alpha: Any, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_size, "ANSWER_BYTES", 2_500)
    old = [job_in(JobState.FAILED, alpha, now=now) for _ in range(3)]
    changes = {"environment": {"A": "x" * 1_000}}

    results = resubmit_jobs(by=alpha.submitter, job_ids=old, changes=changes, now=now)

    assert [isinstance(one.outcome, Receipt) for one in results] == [True, True, False]


def test_outputs_are_not_read_for_it(alpha: Any, now: datetime) -> None:
    old = job_in(JobState.FAILED, alpha, now=now)

    with CaptureQueriesContext(connection) as queries:
        again(alpha, old, now=now)

    reads = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert not [sql for sql in reads if re.search(r"\boutput(_files)?\b", sql)]


def test_a_client_submits_more_than_one_call_takes(remote: Remote, server: RainbowServer) -> None:
    much = [records.JobSpec(command="x" * 60_000, environment={"A": "y" * 60_000}) for _ in range(20)]
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        old = [result.jobid for _ in range(2) for result in client.submit_jobs(much).results]

        new = [result.jobid for result in client.resubmit_jobs(old, key="again").results]

        assert [job.resubmission_of for job in client.get_jobs([new[0], new[-1]]).jobs] == [old[0], old[-1]]
        assert len(set(new)) == 40
        assert [result.jobid for result in client.resubmit_jobs(old, key="again").results] == new


def test_the_command_line_submits_again_with_changes(rainbow: Run, remote: Remote) -> None:
    old = failed(rainbow, remote, "--time-limit", "1h", "--env", "A=1", "--label", "x=1")
    changes = ("time-limit=2h", "memory=64G", "label=y=2", "label=z=3", "exclusive", "on-lost=requeue")

    result = rainbow("resubmit", str(old), *(word for change in changes for word in ("--change", change)))

    assert result.exit_code == 0, result.output
    new = answer(rainbow("job", "--json", str(answer(rainbow("job", "--json", str(old)))["resubmissions"][0])))
    assert f"as job {new['id']}." in result.stdout
    assert (new["command"], new["environment"], new["resubmission_of"]) == ("make test", {"A": "1"}, old)
    assert (new["time_limit_seconds"], new["memory_mib_per_node"], new["exclusive"]) == (7200, 65536, True)
    assert (new["labels"], new["on_lost"]) == ({"y": "2", "z": "3"}, "requeue")
    assert f"submitted again for:  {old}" in rainbow("job", str(new["id"])).stdout


def test_a_refusal_of_one_keeps_no_other_out(rainbow: Run, remote: Remote) -> None:
    old = failed(rainbow, remote)

    result = rainbow("resubmit", str(old), str(2**31 - 1))

    assert result.exit_code == 4
    assert "as job" in result.stdout
    assert f"Job {2**31 - 1}: there is no such job" in result.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nonsense=1", "'nonsense' cannot be changed; these can: account, after, "),
        ("nodes=many", "--nodes"),
        ("key=x", "'key' cannot be changed"),
        ("--nodes=1", "has not the form"),
        ("wait", "'wait' cannot be changed"),
        ("help", "'help' cannot be changed"),
        ("cluster-name=oreo", "'cluster-name' cannot be changed"),
        ("token=x", "'token' cannot be changed"),
        ("sign", "'sign' cannot be changed"),
        ("input=/etc/hostname", "'input' cannot be changed"),
    ],
)
def test_a_change_that_is_none_is_refused(rainbow: Run, change: str, words: str) -> None:
    result = rainbow("resubmit", "7", "--change", change)

    assert result.exit_code == 2
    assert words in result.stderr


def test_the_failed_members_of_a_group_are_submitted_again(rainbow: Run, remote: Remote) -> None:
    group = pb.SubmitJobsRequest(group=pb.Group(name="sweep"), jobs=[pb.JobSpec(command="x", nodes=1)] * 3)
    members = [one.jobid for one in remote.stub.SubmitJobs(group, metadata=remote.by_token).results]
    taken = pb.AcceptJobsRequest(cluster=remote.name, secret=remote.secret, jobids=members, agent="login1")
    assert len(remote.stub.AcceptJobs(taken).accepted) == 3
    states = (pb.JOB_STATE_FAILED, pb.JOB_STATE_COMPLETED, pb.JOB_STATE_FAILED)
    ends = [
        pb.JobReport(jobid=jobid, attempt=1, state=state, native_id="7")
        for jobid, state in zip(members, states, strict=True)
    ]
    remote.stub.ReportJobs(pb.ReportJobsRequest(agent="login1", reports=ends), metadata=remote.by_secret)
    group_id = answer(rainbow("job", "--json", str(members[0])))["group"]

    result = rainbow("resubmit", "--failed-of", str(group_id))

    assert result.exit_code == 0, result.output
    assert [line.split()[1] for line in result.stdout.splitlines()] == [str(members[0]), str(members[2])]
    assert answer(rainbow("job", "--json", str(members[1])))["resubmissions"] == []


def test_failed_members_whose_repetition_completed_or_goes_on_are_left_out(rainbow: Run, remote: Remote) -> None:
    """Also where the job in place of a repetition did."""
    group = pb.SubmitJobsRequest(group=pb.Group(name="sweep"), jobs=[pb.JobSpec(command="x", nodes=1)] * 4)
    answered = remote.stub.SubmitJobs(group, metadata=remote.by_token)
    members = [one.jobid for one in answered.results]

    def end(jobids: list[int], state: Any) -> None:
        taken = pb.AcceptJobsRequest(cluster=remote.name, secret=remote.secret, jobids=jobids, agent="login1")
        assert len(remote.stub.AcceptJobs(taken).accepted) == len(jobids)
        ends = [pb.JobReport(jobid=jobid, attempt=1, state=state, native_id="7") for jobid in jobids]
        remote.stub.ReportJobs(pb.ReportJobsRequest(agent="login1", reports=ends), metadata=remote.by_secret)

    def again(*words: str) -> list[int]:
        return [result["id"] for result in answer(rainbow("resubmit", "--json", *words))["results"]]

    failed_of = ("--failed-of", str(answered.group))
    end(members, pb.JOB_STATE_FAILED)
    completed, failed, cancelled, later_completed = again(*failed_of)
    end([completed], pb.JOB_STATE_COMPLETED)
    end([failed, later_completed], pb.JOB_STATE_FAILED)
    end(again(str(later_completed)), pb.JOB_STATE_COMPLETED)
    assert rainbow("cancel", str(cancelled)).exit_code == 0

    some = rainbow("resubmit", *failed_of)
    none = rainbow("resubmit", *failed_of)

    assert [line.split()[1] for line in some.stdout.splitlines()] == [str(members[1]), str(members[2])]
    assert f"not over: {members[0]} {members[3]}.\n" in some.stderr
    assert (none.exit_code, none.stdout) == (4, "")
    assert "still to be submitted again" in none.stderr


def test_ids_and_a_group_together_are_refused(rainbow: Run) -> None:
    assert rainbow("resubmit").exit_code == rainbow("resubmit", "7", "--failed-of", "3").exit_code == 2


def test_rest_submits_again(alpha: Any, now: datetime) -> None:
    old = job_in(JobState.FAILED, alpha, now=now, nodes=2)

    answered = submitter(alpha).post(f"jobs/{old}/resubmit", {"changes": {"time_limit_seconds": 7200}})
    refused = submitter(alpha).post(f"jobs/{old}/resubmit", {"changes": {"colour": "red"}})
    missing = submitter(alpha).post(f"jobs/{2**31 - 1}/resubmit", {})

    assert (answered.status_code, refused.status_code, missing.status_code) == (201, 400, 404)
    new = Job.objects.get(id=answered.json()["id"])
    assert (new.resubmission_of, new.nodes, new.time_limit_seconds) == (old, 2, 7200)
    shown = submitter(alpha).get(f"jobs/{old}").json()
    assert shown["resubmissions"] == [new.id]


def test_a_group_that_there_is_none_of_is_said_to_be_none(rainbow: Run) -> None:
    result = rainbow("resubmit", "--failed-of", "2147483647")

    assert result.exit_code == 4
    assert "no such group: 2147483647; `rainbow groups` lists" in result.stderr
