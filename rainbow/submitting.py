"""Submits many jobs over as many streams as that takes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue
from uuid import uuid4

from rainbow import translation
from rainbow.errors import InvalidArgument, RainbowError, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import GroupWish, SubmitResult
from rainbow.retries import Patience
from rainbow.specs import JobSpec

# A batch is one transaction, and servers take messages of up to 4 MiB.
JOBS_PER_BATCH = 500
BYTES_PER_BATCH = 1024 * 1024
# How many batches may be unanswered: enough for the server to have the next one when it is done with one.
WINDOW = 8

Batch = pb.SubmitJobStreamRequest
Answer = pb.SubmitJobStreamResponse
Stream = Callable[[Iterator[Batch]], Iterator[Answer]]


def is_for_another_call(result: SubmitResult) -> bool:
    """Whether a call that submits jobs again left this one to the next, since those before it ask for so much."""
    return result.error is not None and (result.error.code, result.error.field) == ("RESOURCE_EXHAUSTED", "jobids")


class Submitting:
    """Sends batches ahead of their answers, and again those that a broken stream left without one."""

    def __init__(self, stream: Stream, *, patience: Patience) -> None:
        self._stream = stream
        self._patience = patience
        self._unanswered: deque[Batch] = deque()
        self._outbox: SimpleQueue[Batch | None] = SimpleQueue()
        self._answers: Iterator[Answer] = iter(())
        self._is_open = False

    def results(self, batches: Iterator[Batch]) -> Iterator[SubmitResult]:
        """One for each job, in their order. Raises Unavailable when no server answers for too long."""
        try:
            while self._fill(batches):
                answer = self._next_answer()
                yield from results_of(answer, batch=self._unanswered.popleft())
        except RainbowError as error:
            error.idempotency_keys = tuple(job.idempotency_key for batch in self._unanswered for job in batch.jobs)
            raise
        finally:
            self._close()

    def _fill(self, batches: Iterator[Batch]) -> bool:
        for batch in islice(batches, WINDOW - len(self._unanswered)):
            self._unanswered.append(batch)
            self._outbox.put(batch)
        return bool(self._unanswered)

    def _next_answer(self) -> Answer:
        while True:
            try:
                if not self._is_open:
                    self._open()
                answer = next(self._answers)
            except StopIteration:
                failure = Unavailable("the server ended the stream")
            except Unavailable as error:
                failure = error
            else:
                self._patience.renew()
                return answer
            self._is_open = False
            self._patience.rest(failure)

    def _open(self) -> None:
        """A new stream begins with all that is unanswered; the outbox follows."""
        self._outbox.put(None)
        self._outbox = SimpleQueue()
        for batch in self._unanswered:
            self._outbox.put(batch)
        self._answers = self._stream(iter(self._outbox.get, None))
        self._is_open = True

    def _close(self) -> None:
        """Let the server see the end of the stream. Does not wait for missing answers."""
        self._outbox.put(None)
        if self._is_open and not self._unanswered:
            with suppress(Unavailable):
                next(self._answers, None)


def batches(specs: Iterable[JobSpec], *, cluster: str, group: GroupWish | None = None) -> Iterator[Batch]:
    """The jobs in batches, read no further than each batch needs. The last one closes their group."""
    wish = translation.group_wish(with_group_key(group), more=True) if group else None
    batch, size = Batch(cluster=cluster, group=wish), 0
    for spec in specs:
        job = message(with_key(spec))
        size += job.ByteSize()
        if batch.jobs and (len(batch.jobs) == JOBS_PER_BATCH or size > BYTES_PER_BATCH):
            yield batch
            batch, size = Batch(cluster=cluster, group=wish), job.ByteSize()
        batch.jobs.append(job)
    if batch.jobs:
        if group:
            batch.group.more = group.more
        yield batch


def message(spec: JobSpec) -> pb.JobSpec:
    """Raises InvalidArgument for a job that cannot be sent."""
    with translation.refusing_what_the_wire_cannot_carry():
        job = translation.job_spec(spec)
    if job.ByteSize() > BYTES_PER_BATCH:
        raise InvalidArgument(f"a job of {job.ByteSize():,} bytes cannot be sent; the most is {BYTES_PER_BATCH:,}")
    return job


def with_key(spec: JobSpec) -> JobSpec:
    return spec if spec.idempotency_key else replace(spec, idempotency_key=uuid4().hex)


def with_group_key(group: GroupWish) -> GroupWish:
    return group if group.idempotency_key or group.id else replace(group, idempotency_key=uuid4().hex)


@contextmanager
def keys_kept(specs: Sequence[JobSpec]) -> Iterator[None]:
    """Add the jobs' keys to a failure after which they may be queued."""
    try:
        yield
    except RainbowError as error:
        if error.may_be_done:
            error.idempotency_keys = tuple(spec.idempotency_key for spec in specs)
        raise


def results_of(answer: Answer, *, batch: Batch) -> tuple[SubmitResult, ...]:
    keys = [job.idempotency_key for job in batch.jobs]
    return translation.results(answer.results, keys=keys, group=answer.group)
