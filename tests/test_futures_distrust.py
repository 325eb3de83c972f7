"""What executors make of results that a site forged, and of many futures; without a server."""

import ast
import json
import os
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow.futures import on_cluster
from rainbow.futures.calls import MOST_HEAD_BYTES, outcome_of
from rainbow.futures.failures import JobFailed, RemoteError
from rainbow.records import JobState

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

    assert isinstance(outcome_of(content, trusted=False).error, RemoteError)

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
    assert isinstance(outcome_of(content, trusted=False).error, RemoteError)


def test_a_forged_traceback_drives_no_terminal() -> None:
    content = forged(b"", ok=False, kind="Boom\x1b[2J", text="\x1b]0;owned\x07", traceback="\x1b[31mred")

    error = outcome_of(content, trusted=False).error

    assert isinstance(error, RemoteError)
    assert "\x1b" not in f"{error}{error.kind}{error.__cause__}"


@pytest.mark.parametrize(
    ("kind", "arguments"), [("ValueError", ["\x1b[2J"]), ("OSError", [2, "\x1b]0;owned\x07", "f"])]
)
def test_a_forged_exception_drives_no_terminal(kind: str, arguments: list[Any]) -> None:
    error = outcome_of(forged(b"", ok=False, kind=kind, arguments=arguments), trusted=False).error

    assert isinstance(error, OSError | ValueError)
    assert not {"\x1b", "\x07"} & set(str(error))


def test_a_job_that_failed_drives_no_terminal() -> None:
    job: Any = SimpleNamespace(id=1, state=JobState.FAILED, reason="\x1b[2J", output="red\n\x1b]0;owned\x07")

    assert str(JobFailed(job)) == "job 1 failed: \\x1b[2J\nred\n\\x1b]0;owned\\x07"


def test_the_runner_at_the_cluster_needs_only_the_standard_library() -> None:
    text = Path(on_cluster.__file__).read_text()
    parsed = ast.walk(ast.parse(text, feature_version=(3, 7)))
    modules = [node.module or "" for node in parsed if isinstance(node, ast.ImportFrom)]

    assert "contextlib" in modules
    assert {module.partition(".")[0] for module in modules} <= sys.stdlib_module_names | {"__future__"}
