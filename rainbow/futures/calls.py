"""A call of a Python function as a job, and its result."""

import base64
import builtins
import io
import json
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from rainbow.errors import InvalidArgument, RainbowError
from rainbow.futures.failures import RemoteError, RemoteTraceback
from rainbow.futures.on_cluster import CLOUDPICKLE, RESULT
from rainbow.futures.outcomes import Outcome
from rainbow.spec_rules import MAX_INPUTS_BYTES
from rainbow.text import printable

# A larger one is an input of the job; the environment of a job has room for 64 KiB.
MOST_INLINE_BYTES = 8 * 1024
MOST_HEAD_BYTES = 256 * 1024
_PROGRAM = re.compile(r"[\w./-]+")


def pickler() -> Any:
    try:
        return import_module("cloudpickle")
    except ImportError as error:
        words = "functions travel by cloudpickle, which is not installed: pip install cloudpickle"
        raise RainbowError(words) from error


def pickled(value: object, *, what: str) -> bytes:
    """Raises InvalidArgument for what cannot be pickled, or is too large to travel with a job."""
    try:
        content: bytes = pickler().dumps(value)
    except RainbowError:
        raise
    # Whatever a class raises when it is pickled.
    except Exception as error:
        raise InvalidArgument(f"cannot be pickled: {error}", field=what) from error
    if len(content) > MAX_INPUTS_BYTES - len(cloudpickle_zip()):
        room = MAX_INPUTS_BYTES - len(cloudpickle_zip())
        words = f"{len(content):,} bytes as a pickle; at most {room:,} travel with a job: put larger data into a file"
        raise InvalidArgument(f"{words} that the cluster reads", field=what)
    return content


@cache
def cloudpickle_zip() -> bytes:
    """What the cluster unpickles functions with, so that it needs no installation."""
    folder = Path(str(pickler().__file__)).parent
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted(folder.glob("*.py")):
            # Without the time of the file, so that the server keeps it once.
            made.writestr(zipfile.ZipInfo(f"cloudpickle/{path.name}"), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


@cache
def _runner() -> str:
    return resources.files("rainbow.futures").joinpath("on_cluster.py").read_text()


def command(python: str) -> str:
    # What loads a module first is a list of commands, and may be a function of the shell.
    begin = "exec " if _PROGRAM.fullmatch(python) else ""
    return f'{begin}{python} -c "$RAINBOW_CALL"'


def environment(*, trusted: bool, in_chunks: bool, most_result_bytes: int) -> dict[str, str]:
    said = {
        "RAINBOW_CALL": _runner(),
        "RAINBOW_CALL_PYTHON": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "RAINBOW_CALL_RESULTS": "pickle" if trusted else "json",
        "RAINBOW_CALL_MOST_BYTES": str(most_result_bytes),
    }
    return said | ({"RAINBOW_CALL_CHUNK": "1"} if in_chunks else {})


def placed(function: bytes, arguments: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """The parts of a call: variables of the environment, and files."""
    variables, files = dict[str, str](), dict[str, bytes]()
    for name, content in (("function", function), ("arguments", arguments)):
        if len(content) <= MOST_INLINE_BYTES:
            variables[f"RAINBOW_CALL_{name.upper()}"] = base64.b64encode(content).decode()
        else:
            files[f"{name}.pickle"] = content
    # By value they are made with functions of cloudpickle, whose name is in the pickle then.
    if b"cloudpickle" in function or b"cloudpickle" in arguments:
        files[CLOUDPICKLE] = cloudpickle_zip()
    return variables, files


def outcome_of(content: bytes, *, trusted: bool) -> Outcome:
    """What the function returned or raised; a RemoteError for what is neither.

    A site, or whoever is at the job's files there, can forge all of it. Only with `trusted` is anything unpickled.
    """
    try:
        return _outcome(content, trusted=trusted)
    except RemoteError as error:
        return Outcome(error=error)


def _outcome(content: bytes, *, trusted: bool) -> Outcome:
    head, _, body = content.partition(b"\n")
    told = _told(head)
    if refused := told.get("refused"):
        raise RemoteError(printable(str(refused)))
    if told.get("ok") is True:
        return Outcome(value=_value(body, trusted=trusted))
    error = _exception(told, body, trusted=trusted)
    error.__cause__ = RemoteTraceback(printable(str(told.get("traceback", ""))))
    return Outcome(error=error)


def _told(head: bytes) -> Mapping[str, Any]:
    if len(head) > MOST_HEAD_BYTES:
        raise RemoteError("its result is not understood")
    told = _from_json(head)
    if not isinstance(told, dict):
        raise RemoteError("its result is not understood")
    return told


def _value(body: bytes, *, trusted: bool) -> Any:
    if not trusted:
        return _from_json(body)
    try:
        return pickle.loads(body)
    except Exception as error:
        raise RemoteError(f"its result cannot be unpickled here: {error}") from error


def _from_json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RemoteError("its result is not understood") from error


def _exception(told: Mapping[str, Any], body: bytes, *, trusted: bool) -> BaseException:
    if trusted and body:
        with suppress(Exception):
            error = pickle.loads(body)
            if isinstance(error, BaseException):
                return error
    kind, arguments = str(told.get("kind", "")), told.get("arguments")
    known = getattr(builtins, kind, None)
    if isinstance(arguments, list) and isinstance(known, type) and issubclass(known, Exception):
        with suppress(TypeError, ValueError):
            return known(*(printable(item) if isinstance(item, str) else item for item in arguments))
    return RemoteError(printable(str(told.get("text", ""))), kind=printable(kind))


def pickled_rows(rows: Sequence[tuple[Any, ...]]) -> bytes:
    return pickled(list(rows), what="arguments")


def pickled_call(arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> bytes:
    return pickled((arguments, dict(keywords)), what="arguments")


def name_of(function: Callable[..., object]) -> str:
    name = getattr(function, "__qualname__", "") or type(function).__qualname__
    return "".join(character for character in name if character.isprintable())[:100]


OUTPUTS = (RESULT,)
