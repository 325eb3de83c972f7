"""Reports of several calls in one transaction: each has its own answer."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.callers import Claim
from clusters.models import Cluster
from grpc_api.rpcs.reporting import answer_reports
from grpc_api.rpcs.server_state import Answered, Claimed
from jobs.models import Job
from jobs.reports import AgentReport, Report, Reported, ReportOutcome
from jobs.services.report import report_jobs_batch
from jobs.states import JobState
from rainbow.errors import InvalidArgument, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as rpc
from tests.support.lives import AGENT, job_in, row
from tests.support.patience import PATIENCE_SECONDS
from tests.support.queue import counted, recounted

COUNTED, STALE, UNKNOWN = ReportOutcome
LATER = timedelta(minutes=1)


def agent_report(member: Any, *reports: Report, **further: Any) -> AgentReport:
    return AgentReport(**{"caller": member.puller, "agent": AGENT, "reports": reports, **further})


def says(job_id: int, state: JobState, **said: Any) -> Report:
    return Report(job_id=job_id, attempt=1, state=state, **said)


def outcomes(results: list[Reported] | InvalidArgument) -> list[ReportOutcome]:
    assert isinstance(results, list), results
    return [result.outcome for result in results]


def test_each_account_has_its_own_answer_and_a_bad_one_fails_alone(alpha: Any, beta: Any, now: datetime) -> None:
    first, second = (job_in(JobState.RUNNING, alpha, now=now) for _ in range(2))
    third = job_in(JobState.ACCEPTED, beta, now=now)

    ended, bad, bad_lease, started = report_jobs_batch(
        agent_reports=[
            agent_report(alpha, says(first, JobState.COMPLETED)),
            agent_report(alpha, says(second, JobState.FAILED), says(second, JobState.LOST)),
            agent_report(alpha, says(second, JobState.FAILED), lease_seconds=1),
            agent_report(beta, says(third, JobState.RUNNING)),
        ],
        now=now + LATER,
    )

    assert (outcomes(ended), outcomes(started)) == ([COUNTED], [COUNTED])
    assert isinstance(bad, InvalidArgument) and bad.field == "state"
    assert isinstance(bad_lease, InvalidArgument) and bad_lease.field == "lease_seconds"
    assert [row(id)["state"] for id in (first, second, third)] == ["completed", "running", "running"]
    assert counted() == recounted()


def test_a_later_account_meets_what_an_earlier_one_changed(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    results = report_jobs_batch(
        agent_reports=[
            agent_report(alpha, says(job_id, JobState.RUNNING)),
            agent_report(alpha, says(job_id, JobState.FAILED, exit_code=3)),
            agent_report(alpha, says(job_id, JobState.COMPLETED)),
            agent_report(alpha, says(job_id, JobState.FAILED, exit_code=3)),
        ],
        now=now + LATER,
    )

    assert [outcomes(result) for result in results] == [[COUNTED], [COUNTED], [STALE], [COUNTED]]
    assert (row(job_id)["state"], row(job_id)["exit_code"]) == ("failed", 3)
    assert counted() == recounted()


def test_nobody_reports_on_another_clusters_job_beside_its_own_agent(alpha: Any, beta: Any, now: datetime) -> None:
    job_id = job_in(JobState.RUNNING, alpha, now=now)

    mine, strange = report_jobs_batch(
        agent_reports=[
            agent_report(alpha, says(job_id, JobState.RUNNING)),
            agent_report(beta, says(job_id, JobState.FAILED)),
        ],
        now=now + LATER,
    )

    assert (outcomes(mine), outcomes(strange)) == ([COUNTED], [UNKNOWN])
    assert row(job_id)["state"] == "running"


def test_each_agent_renews_its_own_lease(alpha: Any, beta: Any, now: datetime) -> None:
    ids = [job_in(JobState.RUNNING, member, now=now) for member in (alpha, beta)]
    members = zip((alpha, beta), ids, (60, 600), strict=True)

    report_jobs_batch(
        agent_reports=[
            agent_report(member, says(id, JobState.RUNNING), lease_seconds=lease) for member, id, lease in members
        ],
        now=now + LATER,
    )

    expiries = [row(id)["lease_expires_at"] - now - LATER for id in ids]
    assert expiries == [timedelta(seconds=60), timedelta(seconds=600)]


def test_of_several_accounts_the_last_says_whether_the_cluster_is_ready(alpha: Any, beta: Any, now: datetime) -> None:
    agent_reports = [
        agent_report(alpha, not_ready="no node is up"),
        agent_report(beta),
        agent_report(alpha, not_ready="drained", pause="a black hole"),
        agent_report(beta, not_ready="slow", pause=""),
        agent_report(beta),
    ]

    report_jobs_batch(agent_reports=agent_reports, now=now)

    known = Cluster.objects.order_by("name").values_list("not_ready", "paused_reason")
    assert list(known) == [("drained", "a black hole"), ("", "")]


def test_many_agents_reports_take_as_many_statements_as_one(alpha: Any, beta: Any, now: datetime) -> None:
    ids = {member.name: [job_in(JobState.RUNNING, member, now=now) for _ in range(10)] for member in (alpha, beta)}
    agent_reports = [
        agent_report(member, says(id, JobState.RUNNING)) for member in (alpha, beta) for id in ids[member.name]
    ]

    costs = []
    for some in (agent_reports[:1], agent_reports):
        with CaptureQueriesContext(connection) as queries:
            report_jobs_batch(agent_reports=some, now=now + LATER)
        costs.append([query["sql"].split()[0] for query in queries if "SAVEPOINT" not in query["sql"]])

    assert costs[0] == costs[1]


def test_more_jobs_than_a_statement_takes_ids(alpha: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)
    strange = [
        [says(job_id + 1 + part * 1_000 + number, JobState.RUNNING) for number in range(1_000)] for part in range(34)
    ]
    agent_reports = [agent_report(alpha, *reports) for reports in strange] + [
        agent_report(alpha, says(job_id, JobState.RUNNING))
    ]

    *unknown, known = report_jobs_batch(agent_reports=agent_reports, now=now + LATER)

    assert {outcome for result in unknown for outcome in outcomes(result)} == {UNKNOWN}
    assert outcomes(known) == [COUNTED]


def test_the_door_refuses_strangers_and_unknown_words_alone(alpha: Any, beta: Any, now: datetime) -> None:
    job_id = job_in(JobState.ACCEPTED, alpha, now=now)

    def asked(secret: str, state: int) -> Claimed[pb.ReportJobsRequest]:
        report = pb.JobReport(jobid=job_id, attempt=1, state=state)  # type: ignore[arg-type]
        request = pb.ReportJobsRequest(agent=AGENT, reports=[report])
        return Claimed(request=request, claim=Claim(value=secret, cluster="alpha"))

    strange, odd, good = answer_reports(
        [
            asked(beta.secret, pb.JOB_STATE_RUNNING),
            asked(alpha.secret, 99),
            asked(alpha.secret, pb.JOB_STATE_RUNNING),
        ],
        now + LATER,
    )

    assert isinstance(strange, Unauthenticated)
    assert isinstance(odd, InvalidArgument) and odd.field == "state"
    assert isinstance(good, Answered) and good.reply.results[0].outcome == pb.ReportResult.OUTCOME_COUNTED
    assert Job.objects.get(id=job_id).state == JobState.RUNNING


@pytest.mark.parametrize("batch", ["1", "256"])
def test_agents_at_once_are_told_of_their_own_jobs(start_server: Callable[..., Any], batch: str) -> None:
    server = start_server(environment={"RAINBOW_BATCH": batch})
    with grpc.insecure_channel(server.address) as channel:
        stub = rpc.RainbowSchedulerStub(channel)
        new = stub.Register(pb.RegisterRequest(name="crowd", secret=server.registration_secret))
        secret = (("authorization", f"Bearer {new.secret}"),)
        specs = [pb.JobSpec(nodes=1, command="true")] * 64
        token = (("authorization", f"Bearer {new.token}"),)
        results = stub.SubmitJobs(pb.SubmitJobsRequest(cluster="crowd", jobs=specs), metadata=token).results
        ids = [result.jobid for result in results]
        stub.AcceptJobs(pb.AcceptJobsRequest(cluster="crowd", secret=new.secret, jobids=ids, agent=AGENT))
        start = threading.Barrier(32)

        def run(job_id: int) -> list[tuple[int, int]]:
            start.wait(timeout=PATIENCE_SECONDS)
            told = []
            for state in (pb.JOB_STATE_RUNNING, pb.JOB_STATE_COMPLETED):
                report = pb.JobReport(jobid=job_id, attempt=1, state=state)
                request = pb.ReportJobsRequest(cluster="crowd", agent=AGENT, reports=[report])
                (result,) = stub.ReportJobs(request, metadata=secret, timeout=PATIENCE_SECONDS).results
                told.append((result.jobid, result.outcome))
            return told

        with ThreadPoolExecutor(32) as crowd:
            told = list(crowd.map(run, ids))
        jobs = stub.GetJobs(pb.GetJobsRequest(jobids=ids), metadata=token).jobs

    assert told == [[(id, pb.ReportResult.OUTCOME_COUNTED)] * 2 for id in ids]
    assert {job.state for job in jobs} == {pb.JOB_STATE_COMPLETED}
