"""A server of futures without a cluster: what a Dispatcher asks of its client."""

from collections.abc import AsyncIterator, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, Self

from rainbow.errors import RainbowError, Unavailable
from rainbow.futures.dispatcher import Dispatcher
from rainbow.futures.future import JobFuture
from rainbow.futures.orders import Order
from rainbow.futures.outcomes import Outcome
from rainbow.records import JobState
from rainbow.specs import JobSpec


def answered(outcomes: Iterable[int | RainbowError]) -> Any:
    results = [
        SimpleNamespace(jobid=0, error=one) if isinstance(one, RainbowError) else SimpleNamespace(jobid=one, error=None)
        for one in outcomes
    ]
    return SimpleNamespace(results=results, warning="")


class ManyJobs:
    """A server whose jobs end once they are watched; counts its streams."""

    def __init__(self) -> None:
        self.submitted = 0
        self.streams = self.most_streams = self.most_waiting = 0
        self.ended = 0
        self.failures = 2

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def put_inputs(self, contents: Any, *, project: str = "") -> tuple[str, ...]:
        return ()

    async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
        assert len({spec.idempotency_key for spec in specs}) == len(specs)
        first = self.submitted + 1
        self.submitted += len(specs)
        self.most_waiting = max(self.most_waiting, self.submitted - self.ended)
        return answered(first + n for n in range(len(specs)))

    async def watch_jobs(self, jobids: Sequence[int]) -> AsyncIterator[Any]:
        assert len(jobids) <= 1000
        self.streams += 1
        self.most_streams = max(self.most_streams, self.streams)
        try:
            for jobid in jobids:
                self.ended += 1
                yield SimpleNamespace(id=jobid, state=JobState.COMPLETED)
        finally:
            self.streams -= 1


class NumberReader:
    async def read(self, client: Any, job: Any) -> Outcome:
        if client.failures:
            client.failures -= 1
            raise Unavailable("away for a moment")
        return Outcome(value=int(job.id))


def ordered(dispatcher: Dispatcher, *, key: str, **said: Any) -> JobFuture[int]:
    orders = list[Order]()
    future = JobFuture[int](when_cancelled=lambda _: dispatcher.cancel(orders[0]))
    spec = JobSpec(command="true", idempotency_key=key)
    orders.append(Order(future=future, spec=spec, reader=NumberReader(), **said))
    dispatcher.add(orders[0])
    return future
