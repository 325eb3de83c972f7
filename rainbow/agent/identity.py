"""The name by which the server knows an agent: one for each state folder, for ever."""

import os
import secrets
from pathlib import Path


def identity_in(folder: Path, name: str) -> str:
    """The agent's name and a mark of its state folder: login1/3f9a2c.

    The server lets an agent accept the same job twice, so two agents must never share a name, whatever they are told.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / "identity"
    if not file.exists():
        _write_once(file, secrets.token_hex(3))
    return f"{name}/{file.read_text(encoding='ascii').strip()}"


def _write_once(file: Path, text: str) -> None:
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with draft.open("w", encoding="ascii") as stream:
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
