"""Where people and programs read why a job waits."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from clusters.bounds import Bounds
from clusters.services.authenticate import note_visits
from clusters.services.pause import pause_cluster
from grpc_api.rpcs.jobs import get
from jobs.services.pools import Member
from rainbow import translation
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import Member as Cast
from tests.support.commandline import Run, answer
from tests.support.console import signed_in
from tests.support.pools import Pool, pool_of
from tests.support.queue import submitted
from tests.support.rehearsed import Rehearse
from tests.support.rest import Rest

PROSPECTS = [
    ("alpha", "would_take", "would take it; took 0 jobs in the last hour"),
    ("beta", "paused", "was paused 3 minutes ago: <maintenance>; has never asked for jobs; has its turn in 1 hour"),
]
SUMMARY = "1 of 2 clusters would take it; no job is before it"


@pytest.fixture
def job_id(alpha: Cast, beta: Cast, pool: Pool) -> int:
    at = timezone.now()
    note_visits(used=[], asked={alpha.cluster.id: Bounds()}, now=at)
    pause_cluster(cluster_id=beta.cluster.id, reason="<maintenance>", by=None, now=at - timedelta(minutes=3))
    return submitted(pool, now=at)[0]


@pytest.fixture
def pool(alpha: Cast, beta: Cast, now: datetime) -> Pool:
    return pool_of("alpha", Member(cluster="beta", after_seconds=7_000), now=now)


def test_rest_tells_it_of_a_single_job(job_id: int, pool: Pool) -> None:
    token = Rest(pool.token)

    job = token.get(f"jobs/{job_id}").json()

    assert job["why_waiting"] == SUMMARY
    assert [tuple(one.values()) for one in job["prospects"]] == PROSPECTS
    assert "prospects" not in token.get("jobs").json()["results"][0]
    token.post(f"jobs/{job_id}/cancel")
    over = token.get(f"jobs/{job_id}").json()
    assert (over["why_waiting"], over["prospects"]) == ("", [])


def test_get_jobs_tells_it_of_a_single_job(job_id: int, pool: Pool) -> None:
    at = timezone.now()

    (job,) = get(pb.GetJobsRequest(jobids=[job_id]), pool.submitter, at).jobs

    assert job.why_waiting == SUMMARY
    assert [(one.cluster, one.outlook, one.text) for one in job.prospects] == PROSPECTS
    (other,) = submitted(pool, now=at)
    several = get(pb.GetJobsRequest(jobids=[job_id, other]), pool.submitter, at).jobs
    assert [(job.why_waiting, len(job.prospects)) for job in several] == [("", 0), ("", 0)]


def test_the_console_has_a_line_for_each_cluster_with_a_link(job_id: int, alpha: Cast) -> None:
    page = signed_in("olaf", "operators").get(f"/admin/jobs/job/{job_id}/change/").content.decode()

    assert f"<p>{SUMMARY}</p>" in page
    assert (
        f'<a href="/admin/clusters/cluster/{alpha.cluster.id}/change/">alpha</a></th><td>{PROSPECTS[0][2]}</td>' in page
    )
    assert "paused 3 minutes ago: &lt;maintenance&gt;;" in page


WAITING = pb.Job(
    id=7,
    cluster="big",
    state=pb.JOB_STATE_QUEUED,
    why_waiting=SUMMARY,
    prospects=[pb.Prospect(cluster=cluster, outlook=outlook, text=text) for cluster, outlook, text in PROSPECTS],
)


def test_the_command_has_a_line_for_each_cluster(
    stranger: Run, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = rehearse(*[pb.GetJobsResponse(jobs=[WAITING])] * 2)
    monkeypatch.setenv("RAINBOW_HOST", server.address)
    monkeypatch.setenv("RAINBOW_TOKEN", "t")

    text = stranger("job", "7").stdout
    document = answer(stranger("job", "7", "--json"))

    assert text.split("Why it waits: ")[1].splitlines() == [
        SUMMARY,
        f"  alpha  {PROSPECTS[0][2]}",
        f"  beta   {PROSPECTS[1][2]}",
    ]
    assert [tuple(one.values()) for one in document["prospects"]] == PROSPECTS


def test_one_cluster_is_told_once(stranger: Run, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch) -> None:
    job = pb.Job(id=7, cluster="alpha", state=pb.JOB_STATE_QUEUED, why_waiting="alpha would take it")
    job.prospects.add(cluster="alpha", outlook="would_take", text="would take it")
    server, _ = rehearse(pb.GetJobsResponse(jobs=[job]))
    monkeypatch.setenv("RAINBOW_HOST", server.address)
    monkeypatch.setenv("RAINBOW_TOKEN", "t")

    assert stranger("job", "7").stdout.count("would take it") == 1


def test_an_outlook_of_a_later_release_is_kept() -> None:
    job = pb.Job(id=7, prospects=[pb.Prospect(cluster="alpha", outlook="asleep", text="sleeps")])

    assert translation.job(job).prospects[0].outlook == "asleep"
