"""An agent that hears what the server wants, and a test that is one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rainbow.protos import rainbow_pb2 as pb
from tests.support.agents import Crew
from tests.support.patience import PATIENCE_SECONDS
from tests.support.wire import Remote


def wishes_of(remote: Remote, *, agent: str, wait_seconds: int = 0, done: Any = ()) -> list[pb.Wish]:
    request = pb.AwaitWishesRequest(cluster=remote.name, agent=agent, wait_seconds=wait_seconds, done=done)
    answer = remote.stub.AwaitWishes(request, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)
    return list(answer.wishes)


def run_at(remote: Remote, *, agent: str) -> int:
    job_id = remote.submit().jobid
    remote.accept(job_id, agent=agent)
    report = pb.JobReport(jobid=job_id, attempt=1, state=pb.JOB_STATE_RUNNING)
    request = pb.ReportJobsRequest(cluster=remote.name, agent=agent, reports=[report])
    remote.stub.ReportJobs(request, metadata=remote.by_secret, timeout=PATIENCE_SECONDS)
    return job_id


@contextmanager
def at_work(agent: Crew) -> Iterator[Crew]:
    """As `rainbow agent` runs it."""
    thread = threading.Thread(target=agent.agent.run)
    thread.start()
    try:
        yield agent
    finally:
        agent.agent.drain()
        thread.join(PATIENCE_SECONDS)
