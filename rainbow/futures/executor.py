"""rainbow.RainbowExecutor."""

import atexit
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from uuid import uuid4

from rainbow import config
from rainbow.aio.client import AsyncClient
from rainbow.client_session import DEFAULT_TIMEOUT_SECONDS
from rainbow.errors import InvalidArgument
from rainbow.futures import calls
from rainbow.futures.dispatcher import Dispatcher
from rainbow.futures.future import JobFuture
from rainbow.futures.orders import CallReader, CommandReader, Order, Reader
from rainbow.records import Job
from rainbow.retries import Retries
from rainbow.specs import SPEC_FIELDS, JobSpec, check_description

if TYPE_CHECKING:
    # It needs a library that only those load who sign.
    from rainbow.signer import Signer

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

MOST_RESULT_BYTES = 64 * 1024 * 1024
# What a call says itself.
OWN_FIELDS = frozenset({"command", "outputs", "idempotency_key", "group", "array_index"})


class RainbowExecutor(Executor):
    """Runs Python functions and commands as jobs of a cluster or pool: an executor of `concurrent.futures`.

    `trusted` says whether what comes from the cluster is unpickled. Whoever runs the cluster, and whoever reaches the
    job's files there, can forge a result, and **unpickling a forged one runs their code here**. No signature helps: the
    key would have to travel to the job. So without `trusted=True` results are plain data (None, bool, int, float, str,
    and lists and dictionaries of those; tuples become lists), and exceptions that are not built in arrive as
    `RemoteError`. Functions and arguments are pickled either way: the cluster runs what it gets from you.

    `job` has fields of `JobSpec` that hold for each job, such as `{"cores_per_task": 4, "time_limit_seconds": 600}`.
    `python` starts Python at the cluster, by the shell of the job; it must be of this Python's minor version. Nothing
    has to be installed there but what the function imports. The other parameters are those of `Client`.

    All futures share one thread and one connection. A job's end is told by the server, so nothing polls. Threads may
    share an executor; a forked process makes its own.
    """

    def __init__(
        self,
        host: str = "localhost:50051",
        *,
        cluster: str = "",
        token: str = "",
        trusted: bool = False,
        job: Mapping[str, Any] | None = None,
        python: str = "python3",
        most_result_bytes: int = MOST_RESULT_BYTES,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        tls: bool = False,
        ca_file: Path | str | None = None,
        cert_file: Path | str | None = None,
        key_file: Path | str | None = None,
        retries: Retries | None = None,
        signer: "Signer | None" = None,
    ) -> None:
        self._fields = dict(job or {})
        if wrong := self._fields.keys() - (set(SPEC_FIELDS) - OWN_FIELDS):
            raise InvalidArgument(f"has no field {', '.join(sorted(wrong))} for each job", field="job")
        check_description(JobSpec(command="true", **self._fields))
        self._trusted = trusted
        self._python = python
        self._most_result_bytes = most_result_bytes
        self._dispatcher = Dispatcher(
            partial(
                AsyncClient,
                host,
                cluster=cluster,
                token=token,
                timeout_seconds=timeout_seconds,
                tls=tls,
                ca_file=ca_file,
                cert_file=cert_file,
                key_file=key_file,
                retries=retries,
                signer=signer,
            )
        )
        # As the executors of the standard library do: what was submitted is waited for.
        atexit.register(self.shutdown)

    @classmethod
    def from_settings(cls, *, cluster: str = "", **options: Any) -> Self:
        """An executor with the settings of the command line, as `Client.from_settings`."""
        known = config.settings({"cluster": cluster})
        return cls(**{**known.of_clients, "token": known.token, **options})

    def submit(
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> JobFuture[Result]:
        """Call the function in a job. Raises InvalidArgument where it, or an argument, is too large or has no pickle.

        The future has what the function returns or raises, with its traceback there as the cause. A job that ends
        without either, such as one that was killed, raises JobFailed.
        """
        function = calls.pickled(fn, what="function")
        return self._call(function, calls.pickled_call(args, kwargs), name=calls.name_of(fn))

    def submit_command(self, command: str | Sequence[str], **fields: Any) -> JobFuture[Job]:
        """Run a command: a line for the shell, or words that no shell interprets. `fields` are those of a JobSpec.

        The future has the Job, with the end of what it wrote as `output`; JobFailed where it did not succeed.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        spec = JobSpec(command=line, **{"idempotency_key": uuid4().hex, **self._fields, **fields})
        check_description(spec)
        return self._add(spec, CommandReader())

    def map(
        self,
        fn: Callable[..., Result],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Result]:
        """As the built-in `map`: the results in their order. The jobs are members of one group.

        `chunksize` calls go into one job: a job takes a second or so of the cluster's time beside its work.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        function, name = calls.pickled(fn, what="function"), calls.name_of(fn)
        key, rows, futures = uuid4().hex, zip(*iterables, strict=False), list[JobFuture[list[Result]]]()
        chunk = list(islice(rows, chunksize))
        while chunk:
            following = list(islice(rows, chunksize))
            arguments = calls.pickled_rows(chunk)
            futures.append(self._call(function, arguments, name=name, group=key, is_last=not following))
            chunk = following
        return _results(futures, end=end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no further calls. `cancel_futures` cancels those whose jobs have not started. `wait` for the others."""
        self._dispatcher.close(cancel=cancel_futures)
        if wait:
            self._dispatcher.join()
            atexit.unregister(self.shutdown)

    def _call(
        self, function: bytes, arguments: bytes, *, name: str, group: str = "", is_last: bool = True
    ) -> JobFuture[Any]:
        variables, files = calls.placed(function, arguments)
        said = calls.environment(
            trusted=self._trusted, in_chunks=bool(group), most_result_bytes=self._most_result_bytes
        )
        spec = JobSpec(
            **{
                "name": name,
                **self._fields,
                "command": calls.command(self._python),
                "environment": {**self._fields.get("environment", {}), **said, **variables},
                "outputs": calls.OUTPUTS,
                "idempotency_key": uuid4().hex,
            }
        )
        check_description(spec)
        reader = CallReader(trusted=self._trusted, most_bytes=self._most_result_bytes + calls.MOST_HEAD_BYTES)
        return self._add(spec, reader, files=files, group=group, group_name=name, is_last=is_last)

    def _add(self, spec: JobSpec, reader: Reader, **of_order: Any) -> JobFuture[Any]:
        orders = list[Order]()
        future = JobFuture[Any](when_cancelled=lambda _: self._dispatcher.cancel(orders[0]))
        orders.append(Order(future=future, spec=spec, reader=reader, **of_order))
        self._dispatcher.add(orders[0])
        return future


def _results(futures: list[JobFuture[list[Result]]], *, end: float | None) -> Iterator[Result]:
    """Keeps none that it has given. Those that nobody waits for any more are cancelled."""
    futures.reverse()
    try:
        while futures:
            future = futures.pop()
            try:
                yield from future.result(None if end is None else end - time.monotonic())
            finally:
                future.cancel()
    finally:
        for future in futures:
            future.cancel()
