"""A copy of a PostgreSQL database, by its own pg_dump (https://www.postgresql.org/docs/current/app-pgdump.html)."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo

from rainbow_site.copies.new_file import CannotCopy
from rainbow_site.settings import environment_with

_INSTALL = "install PostgreSQL's client programs, of the server's version or newer (Debian: postgresql-client)"
_OPTIONS = ("--format=custom", "--no-owner", "--no-privileges", "--no-password", "--lock-wait-timeout=60s")
# Secrets that go by the environment, which others cannot read; of the second libpq knows no variable.
_PASSWORD, _KEY_PASSWORD = "password", "sslpassword"


def back_up(connection: Mapping[str, Any], draft: Path) -> None:
    """Writes a dump in the custom format; `connection` is what psycopg connects with. Raises CannotCopy."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    said = {name: value for name, value in connection.items() if name in known and value is not None}
    if _KEY_PASSWORD in said:
        raise CannotCopy("DATABASE_URL: pg_dump can be given no sslpassword; use a key without a password")
    place = make_conninfo("", **{name: value for name, value in said.items() if name != _PASSWORD})
    _run(
        ["pg_dump", *_OPTIONS, f"--file={draft}", f"--dbname={place}"],
        environment_with(**({"PGPASSWORD": str(said[_PASSWORD])} if said.get(_PASSWORD) else {})),
    )


def verify(copy: Path) -> None:
    """Reads all of it. Raises CannotCopy."""
    _run(["pg_restore", f"--file={os.devnull}", str(copy)], environment_with())


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    if shutil.which(command[0]) is None:
        raise CannotCopy(f"{command[0]} is not on the PATH: {_INSTALL}")
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{command[0]} ended with {done.returncode}"]
        further = f"; {_INSTALL}" if "version mismatch" in done.stderr else ""
        raise CannotCopy("; ".join(line.strip() for line in lines) + further)
