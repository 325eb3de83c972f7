"""The word that servers on PostgreSQL get of what others did, once it is committed."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from clusters.facts import Facts
from clusters.services.pause import pause_cluster, resume_cluster
from jobs.notify import CHANNEL, Word
from jobs.queries.news import News, jobs_wait_for, news_since, queues_with_jobs
from jobs.reports import Report
from jobs.services.accept import accept_jobs
from jobs.services.facts import change_facts
from jobs.services.report import report_jobs
from jobs.services.requeue import requeue_jobs
from jobs.states import JobState
from rainbow.protos import rainbow_pb2 as pb
from tests.support.lives import AGENT
from tests.support.patience import PATIENCE_SECONDS
from tests.support.pools import pool_of
from tests.support.queue import submitted
from tests.support.rows import execute
from tests.support.servers import RainbowServer, manage_with
from tests.support.wire import Remote, cancel, connected, eventually, joined

MARKS = "tests_marks"
WITHOUT_POLLS = """
from grpc_api.runtime import notifications, wakeups
notifications.POLL_QUEUES_EVERY_SECONDS = wakeups.POLL_EVERY_SECONDS = 3600
"""
# A server that listens to the news holds this lock, too.
LISTENERS = """
    SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND datname = current_database()
"""


@pytest.fixture
def words(postgresql_only: None, transactional_db: None) -> Iterator[Callable[[], list[Word]]]:
    """What was said since the last time."""
    parameters = connection.get_connection_params()
    known = {name: parameters[name] for name in ("dbname", "host", "user", "password", "port") if name in parameters}
    with (
        psycopg.connect(**known, autocommit=True) as listener,
        psycopg.connect(**known, autocommit=True) as marker,
    ):
        listener.execute(f"LISTEN {CHANNEL}")
        listener.execute(f"LISTEN {MARKS}")
        yield lambda: list(_said_until_now(listener, marker))


def _said_until_now(listener: psycopg.Connection[Any], marker: psycopg.Connection[Any]) -> Iterator[Word]:
    """Notifications come in the order of their commits, so all that were sent come before one that is sent now."""
    mark = uuid.uuid4().hex
    marker.execute("SELECT pg_notify(%s, %s)", [MARKS, mark])
    for notice in listener.notifies(timeout=PATIENCE_SECONDS):
        if notice.payload == mark:
            return
        if notice.channel == CHANNEL:
            yield Word.of(notice.payload)
    raise AssertionError("the mark did not come")


def test_a_submission_tells_whose_queue_grew(
    words: Callable[[], list[Word]], alpha: Any, beta: Any, now: datetime
) -> None:
    submitted(alpha, 1_000, now=now)
    submitted(beta, now=now)

    assert words() == [
        Word(clusters=frozenset({"alpha"}), jobs=frozenset()),
        Word(clusters=frozenset({"beta"}), jobs=frozenset()),
    ]


def test_a_step_tells_which_jobs_took_it(words: Callable[[], list[Word]], alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now)
    words()

    accept_jobs(caller=alpha.puller, job_ids=ids, now=now)
    requeue_jobs(by=alpha.puller, job_ids=ids[:1], reason="x", now=now)

    assert words() == [
        Word(clusters=frozenset(), jobs=frozenset(ids)),
        Word(clusters=frozenset({"alpha"}), jobs=frozenset(ids[:1])),
    ]


def test_more_jobs_than_a_word_holds_take_several_and_very_many_are_told_as_any(
    words: Callable[[], list[Word]], alpha: Any, now: datetime
) -> None:
    some, very_many = submitted(alpha, 1_000, now=now), submitted(alpha, 5_000, now=now)
    words()

    accept_jobs(caller=alpha.puller, job_ids=some, now=now)
    several = words()
    accept_jobs(caller=alpha.puller, job_ids=very_many, now=now)

    assert len(several) == 3
    assert frozenset().union(*(word.jobs or () for word in several)) == frozenset(some)
    assert words() == [Word(clusters=frozenset(), jobs=None)]


def test_a_job_that_takes_two_steps_at_once_is_told_once(
    words: Callable[[], list[Word]], alpha: Any, now: datetime
) -> None:
    ids = submitted(alpha, 300, now=now)
    accept_jobs(caller=alpha.puller, job_ids=ids, agent=AGENT, now=now)
    words()

    ends = [Report(job_id=id, attempt=1, state=JobState.COMPLETED, started_at=now) for id in ids]
    report_jobs(caller=alpha.puller, agent=AGENT, reports=ends, now=now)

    assert words() == [Word(clusters=frozenset(), jobs=frozenset(ids))]


def test_nothing_is_told_before_the_commit_and_nothing_of_what_was_rolled_back(
    words: Callable[[], list[Word]], alpha: Any, now: datetime
) -> None:
    with transaction.atomic():
        submitted(alpha, now=now)
        before = words()
    after = words()
    with transaction.atomic():
        submitted(alpha, now=now)
        transaction.set_rollback(True)

    assert (before, len(after), words()) == ([], 1, [])


def test_who_looks_for_news_sees_what_happened_since(alpha: Any, beta: Any, now: datetime) -> None:
    (old,) = submitted(alpha, now=now)
    before = news_since(after=None)

    accept_jobs(caller=alpha.puller, job_ids=[old], now=now)
    submitted(beta, now=now)
    news = news_since(after=before)

    assert (news.clusters, news.jobs, news.last > before.last) == ({"beta"}, {old}, True)
    assert news_since(after=news) == News(last=news.last, last_of_clusters=news.last_of_clusters)


def test_who_looks_for_news_sees_which_clusters_may_take_other_jobs(alpha: Any, beta: Any, now: datetime) -> None:
    before = news_since(after=None)

    pool_of("alpha", now=now)
    change_facts(by=beta.puller, change=lambda facts: Facts(values={"site": "paris"}), now=now)
    news = news_since(after=before)

    assert (news.clusters, news.may_take_others) == (frozenset(), {"alpha", "beta"})


def test_all_calls_of_clusters_are_told_that_they_may_take_other_jobs(
    words: Callable[[], list[Word]], alpha: Any, beta: Any, now: datetime
) -> None:
    pool_of("alpha", now=now)
    change_facts(by=beta.puller, change=lambda facts: Facts(values={"site": "paris"}), now=now)

    assert words() == [
        Word(clusters=frozenset({"alpha"}), jobs=frozenset(), to_all=True),
        Word(clusters=frozenset({"beta"}), jobs=frozenset(), to_all=True),
    ]


def test_a_server_whose_connection_for_news_was_cut_hears_them_again(
    postgresql_only: None, start_server: Callable[..., RainbowServer]
) -> None:
    here = start_server(manage=manage_with(WITHOUT_POLLS))
    there = start_server(database_url=here.database_url)

    def listeners() -> set[int]:
        return {pid for (pid,) in execute(here.database_url, LISTENERS)}

    def is_told_that_it_ends(job_id: int) -> bool:
        cancel(other, job_id)
        job = next(news).job
        return (job.id, job.state) == (job_id, pb.JOB_STATE_CANCELLED)

    with joined(here) as alpha, connected(there.address) as stub:
        other = Remote(name=alpha.name, token=alpha.token, secret=alpha.secret, stub=stub)
        first, second = other.submit().jobid, other.submit().jobid
        request = pb.WatchJobsRequest(jobids=[first, second])
        news = alpha.stub.WatchJobs(request, metadata=alpha.by_token, timeout=PATIENCE_SECONDS)
        assert {next(news).job.id, next(news).job.id} == {first, second}
        eventually(lambda: len(listeners()) == 2)
        cut = listeners()

        execute(here.database_url, f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS}) AS listeners")

        assert is_told_that_it_ends(first), "while it is cut"
        eventually(lambda: len(listeners() - cut) == 2)
        assert is_told_that_it_ends(second), "once it is whole"


def test_who_looks_around_sees_which_queues_have_jobs(alpha: Any, beta: Any, mallory: Any, now: datetime) -> None:
    submitted(alpha, 2, now=now)
    submitted(beta, now=now)
    pause_cluster(cluster_id=beta.cluster.id, reason="x", by=None, now=now)
    accepted = submitted(mallory, now=now)
    accept_jobs(caller=mallory.puller, job_ids=accepted, now=now)

    paused = queues_with_jobs(clusters=["alpha", "beta", "mallory", "nobody"])
    resume_cluster(cluster_id=beta.cluster.id, by=None, now=now)
    resumed = queues_with_jobs(clusters=["beta", "mallory"])

    assert (paused, resumed, queues_with_jobs(clusters=[])) == (["alpha"], ["beta"], [])


def test_jobs_wait_for_a_cluster_in_its_queue_and_in_its_pools_unless_these_are_paused(
    alpha: Any, beta: Any, mallory: Any, now: datetime
) -> None:
    submitted(alpha, now=now)
    submitted(beta, now=now)
    pause_cluster(cluster_id=beta.cluster.id, reason="x", by=None, now=now)
    accepted = submitted(mallory, now=now)
    accept_jobs(caller=mallory.puller, job_ids=accepted, now=now)

    waiting = [name for name in ("alpha", "beta", "mallory", "nobody") if jobs_wait_for(name)]
    pool = pool_of("mallory", now=now)
    before = jobs_wait_for("mallory")
    submitted(pool, now=now)

    assert waiting == ["alpha"]
    assert (before, jobs_wait_for("mallory"), jobs_wait_for(pool.name)) == (False, True, True)
