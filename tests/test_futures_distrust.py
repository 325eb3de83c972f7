"""What executors make of results that a site forged, and of many futures; without a server."""

import ast
import json
import os
import pickle
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from rainbow.errors import Unavailable
from rainbow.futures import on_cluster
from rainbow.futures.calls import MOST_HEAD_BYTES, result_of
from rainbow.futures.dispatcher import MOST_AT_SERVER, Dispatcher
from rainbow.futures.failures import JobFailed, RemoteError
from rainbow.futures.future import JobFuture
from rainbow.futures.orders import Order
from rainbow.records import JobState
from rainbow.specs import JobSpec
from tests.support.patience import PATIENCE_SECONDS

# Of a connection's calls; the rest is for submissions and results.
MOST_STREAMS = 60


class Evil:
    """Whoever unpickles it writes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def forged(body: bytes, **told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n" + body


@pytest.mark.parametrize("told", [{"ok": True}, {"ok": False, "kind": "ValueError", "text": "boom"}])
def test_nothing_is_unpickled_for_who_does_not_trust(told: dict[str, Any], tmp_path: Path) -> None:
    content = forged(pickle.dumps(Evil(tmp_path / "owned")), **told)

    with pytest.raises(RemoteError):
        result_of(content, trusted=False)

    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"[]\n1", b"1\n1", b"\xff\n1", b"{}\n1", b"{\n", b'{"ok": true}\n', b'{"ok": true}\n{',
        b'{"ok": 1}\n1', b'{"ok": true}\n' + b"[" * 100_000, b" " * (MOST_HEAD_BYTES + 1) + b"\n1",
        forged(b"", ok=False, kind="eval", arguments=["1"]), forged(b"", ok=False, kind="SystemExit", arguments=[1]),
        forged(b"", ok=False, kind="__build_class__", arguments=[]), forged(b"", ok=False, kind=["ValueError"]),
        forged(b"", ok=False, kind="UnicodeDecodeError", arguments=["x"]), forged(b"", refused=["no"]),
    ],
)  # fmt: skip
def test_what_is_no_result_is_a_failure(content: bytes) -> None:
    with pytest.raises(RemoteError):
        result_of(content, trusted=False)


def test_a_forged_traceback_drives_no_terminal() -> None:
    content = forged(b"", ok=False, kind="Boom\x1b[2J", text="\x1b]0;owned\x07", traceback="\x1b[31mred")

    with pytest.raises(RemoteError) as raised:
        result_of(content, trusted=False)

    assert "\x1b" not in f"{raised.value}{raised.value.kind}{raised.value.__cause__}"


@pytest.mark.parametrize(
    ("kind", "arguments"), [("ValueError", ["\x1b[2J"]), ("OSError", [2, "\x1b]0;owned\x07", "f"])]
)
def test_a_forged_exception_drives_no_terminal(kind: str, arguments: list[Any]) -> None:
    with pytest.raises((OSError, ValueError)) as raised:
        result_of(forged(b"", ok=False, kind=kind, arguments=arguments), trusted=False)

    assert not {"\x1b", "\x07"} & set(str(raised.value))


def test_a_job_that_failed_drives_no_terminal() -> None:
    job: Any = SimpleNamespace(id=1, state=JobState.FAILED, reason="\x1b[2J", output="red\n\x1b]0;owned\x07")

    assert str(JobFailed(job)) == "job 1 is failed: \\x1b[2J\nred\n\\x1b]0;owned\\x07"


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

    async def put_inputs(self, contents: Any) -> tuple[str, ...]:
        return ()

    async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
        assert len({spec.idempotency_key for spec in specs}) == len(specs)
        first = self.submitted + 1
        self.submitted += len(specs)
        self.most_waiting = max(self.most_waiting, self.submitted - self.ended)
        return SimpleNamespace(results=[SimpleNamespace(jobid=first + n, error=None) for n in range(len(specs))])

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
    async def read(self, client: Any, job: Any) -> int:
        if client.failures:
            client.failures -= 1
            raise Unavailable("away for a moment")
        return int(job.id)


def test_ten_thousand_futures_take_one_thread_and_few_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow.futures.dispatcher.LOOK_AGAIN_SECONDS", 0.01)
    server: Any = ManyJobs()
    dispatcher = Dispatcher(lambda: server)
    futures = [JobFuture[int](when_cancelled=lambda _: None) for _ in range(10_000)]

    for number, future in enumerate(futures):
        spec = JobSpec(command="true", idempotency_key=str(number))
        dispatcher.add(Order(future=future, spec=spec, reader=NumberReader()))
    results = [future.result(PATIENCE_SECONDS) for future in futures]
    dispatcher.close()
    dispatcher.join()

    assert results == list(range(1, 10_001))
    assert server.most_streams <= MOST_STREAMS
    assert server.most_waiting <= MOST_AT_SERVER


def test_a_thread_that_ends_takes_its_futures_with_it() -> None:
    def connect() -> Any:
        raise OSError("no such thing")

    dispatcher = Dispatcher(connect)
    future = JobFuture[int](when_cancelled=lambda _: None)
    dispatcher.add(Order(future=future, spec=JobSpec(command="true"), reader=NumberReader()))

    with pytest.raises(OSError, match="no such thing"):
        future.result(PATIENCE_SECONDS)
    with pytest.raises(RuntimeError, match="has ended"):
        dispatcher.add(Order(future=future, spec=JobSpec(command="true"), reader=NumberReader()))


class Refusing(ManyJobs):
    """Submitting the first job there fails as it never should."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self.failure = failure

    async def submit_jobs(self, specs: Sequence[JobSpec], *, group: Any) -> Any:
        if not self.submitted:
            self.submitted = 1
            raise self.failure
        return await super().submit_jobs(specs, group=group)


def test_what_fails_as_it_is_submitted_fails_alone() -> None:
    server: Any = Refusing(RuntimeError("the signer's key is gone"))
    dispatcher = Dispatcher(lambda: server)
    first, second = (JobFuture[int](when_cancelled=lambda _: None) for _ in range(2))

    dispatcher.add(Order(future=first, spec=JobSpec(command="true"), reader=NumberReader(), group="one"))
    with pytest.raises(RuntimeError, match="key is gone"):
        first.result(PATIENCE_SECONDS)
    server.failures = 0
    dispatcher.add(Order(future=second, spec=JobSpec(command="true"), reader=NumberReader()))

    assert second.result(PATIENCE_SECONDS) == 2
    dispatcher.close()
    dispatcher.join()


def test_a_thread_that_ends_takes_with_it_what_it_submits() -> None:
    server: Any = Refusing(SystemExit(1))
    dispatcher = Dispatcher(lambda: server)
    future = JobFuture[int](when_cancelled=lambda _: None)
    dispatcher.add(Order(future=future, spec=JobSpec(command="true"), reader=NumberReader()))

    with pytest.raises(SystemExit):
        future.result(PATIENCE_SECONDS)


def test_the_runner_at_the_cluster_needs_only_the_standard_library() -> None:
    text = Path(on_cluster.__file__).read_text()
    parsed = ast.walk(ast.parse(text, feature_version=(3, 7)))
    modules = [node.module or "" for node in parsed if isinstance(node, ast.ImportFrom)]

    assert "contextlib" in modules
    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names | {"__future__"}
