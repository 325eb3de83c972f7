"""A server whose jobs are submitted, taken, reported on and cancelled all the time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rainbow.client import Client
from rainbow.records import JobSpec, JobState, Registration
from rainbow.reports import JobReport
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer

AGENT = "agent-1"


def register(server: RainbowServer, name: str = "keebler") -> Registration:
    with Client(server.address) as stranger:
        return stranger.register(name, registration_secret=server.registration_secret)


@contextmanager
def busy(server: RainbowServer, new: Registration, name: str = "keebler") -> Iterator[None]:
    """Until the end of the block."""
    over = threading.Event()
    failures: list[BaseException] = []

    def repeat(step: Callable[[Client], None]) -> None:
        try:
            with Client(server.address, cluster=name, token=new.token, secret=new.secret) as client:
                while not over.is_set():
                    step(client)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=repeat, args=(step,)) for step in (_submit, _submit_and_cancel, _run)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads)


def _submit(client: Client) -> None:
    client.submit_jobs([JobSpec(command="true", labels={"a": "b"}, nodes=nodes) for nodes in (1, 2, 9)])


def _submit_and_cancel(client: Client) -> None:
    results = client.submit_jobs([JobSpec(command="true", priority=-5)] * 2).results
    client.cancel_jobs([result.jobid for result in results])


def _run(client: Client) -> None:
    waiting = client.request_jobs(max_jobs=4, wait_seconds=1, shared=True).jobs
    if not waiting:
        return
    taken = client.accept_jobs([job.id for job in waiting], agent=AGENT).accepted
    for state in (JobState.RUNNING, JobState.COMPLETED):
        client.report_jobs([JobReport(jobid=one.jobid, attempt=one.attempt, state=state) for one in taken], agent=AGENT)
