"""Runs one call of a RainbowExecutor at the cluster. Its text travels with the job, and any Python 3.7 understands it.

It leaves a file: a line of JSON that says what follows, and then the pickled or plain result, or the exception.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

RESULT = "rainbow-result"
CLOUDPICKLE = "cloudpickle.zip"
LONGEST_TEXT, LONGEST_TRACEBACK = 10_000, 50_000


class NoPlainData(TypeError):
    pass


def main() -> int:
    folder = Path(os.environ.get("RAINBOW_FILES", "."))
    wanted, found = os.environ["RAINBOW_CALL_PYTHON"], ".".join(map(str, sys.version_info[:2]))
    if found != wanted:
        words = f"the cluster's Python is {found}, and the function was pickled by {wanted}"
        return leave(folder, {"refused": f"{words}: let python=... of the executor name one of {wanted} there"}, b"")
    if (folder / CLOUDPICKLE).exists():
        sys.path.insert(1, str(folder / CLOUDPICKLE))
    try:
        return leave(folder, {"ok": True}, result(folder))
    except BaseException as error:
        traceback.print_exc()
        return leave(folder, *failure(error))


def result(folder: Path) -> bytes:
    function = pickle.loads(part(folder, "function"))
    arguments = pickle.loads(part(folder, "arguments"))
    if os.environ.get("RAINBOW_CALL_CHUNK"):
        value = [function(*row) for row in arguments]
    else:
        value = function(*arguments[0], **arguments[1])
    content = dumped(value)
    most = int(os.environ["RAINBOW_CALL_MOST_BYTES"])
    if len(content) > most:
        raise ValueError(f"the result has {len(content):,} bytes; the most is {most:,}: write it into a file")
    return content


def part(folder: Path, name: str) -> bytes:
    inline = os.environ.get(f"RAINBOW_CALL_{name.upper()}")
    return (folder / f"{name}.pickle").read_bytes() if inline is None else base64.b64decode(inline)


def is_trusted() -> bool:
    return os.environ["RAINBOW_CALL_RESULTS"] == "pickle"


def dumped(value: Any) -> bytes:
    if is_trusted():
        return pickled(value)
    check_plain(value)
    return json.dumps(value).encode()


def pickled(value: Any) -> bytes:
    try:
        pickler: Any = import_module("cloudpickle")
    except ImportError:
        pickler = pickle
    content: bytes = pickler.dumps(value)
    return content


def check_plain(value: Any) -> None:
    if isinstance(value, (list, tuple)):
        for item in value:
            check_plain(item)
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for item in value.values():
            check_plain(item)
    elif not (value is None or isinstance(value, (bool, int, float, str))):
        kind = "dict with a key that is no str" if isinstance(value, dict) else type(value).__name__
        raise NoPlainData(f"it returned a {kind}, which is no plain data; an executor with trusted=True takes it")


def failure(error: BaseException) -> tuple[dict[str, Any], bytes]:
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text, kind = str(error)[:LONGEST_TEXT], type(error)
    told = {"ok": False, "kind": kind.__name__, "text": text, "traceback": lines[-LONGEST_TRACEBACK:]}
    if kind.__module__ == "builtins" and len(repr(error.args)) < LONGEST_TEXT:
        with suppress(NoPlainData):
            check_plain(error.args)
            told["arguments"] = list(error.args)
    content = b""
    if is_trusted():
        # One that cannot be made again is told of by its text.
        with suppress(Exception):
            made = pickled(error)
            pickle.loads(made)
            content = made
    return told, content


def leave(folder: Path, told: dict[str, Any], content: bytes) -> int:
    draft = folder / f"{RESULT}.part"
    draft.write_bytes(json.dumps(told).encode() + b"\n" + content)
    draft.rename(folder / RESULT)
    return 0 if told.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main())
