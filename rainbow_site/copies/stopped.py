"""Whether servers run on the database, as far as the database can tell."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import DatabaseError, connection

from jobs.models import LeaseWatch
from jobs.notify import CHANNEL
from rainbow_site.copies.new_file import CannotCopy
from rainbow_site.process.sqlite_lock import CannotUse, InUse, held_alone

# A server notes every five seconds that it has looked after leases.
_RECENTLY = timedelta(seconds=60)
_WATCHED_FOR_SECONDS = 15
_LOOK_EVERY_SECONDS = 0.5
_STOP_THEM = "stop all servers first"


@contextmanager
def servers_stopped() -> Iterator[None]:
    """Raises CannotCopy if a server runs. On SQLite none starts until the end of the block."""
    if connection.vendor == "postgresql":
        with _no_server_listens():
            _watch_leases()
            yield
        return
    database = Path(connection.settings_dict["NAME"])
    if not database.is_file():
        raise CannotCopy(f"there is no file {database}")
    try:
        with held_alone(database):
            yield
    except InUse:
        raise CannotCopy(f"a live server uses {database}; {_STOP_THEM}") from None
    except CannotUse as error:
        raise CannotCopy(str(error)) from None


@contextmanager
def _no_server_listens() -> Iterator[None]:
    """Takes the lock that each server shares for as long as it runs (grpc_api/runtime/notifications.py)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [CHANNEL])
        (taken,) = cursor.fetchone()
    if not taken:
        raise CannotCopy(f"a live server uses the database; {_STOP_THEM}")
    try:
        yield
    finally:
        # It also ends with the connection.
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [CHANNEL])


def _watch_leases() -> None:
    """For servers of the release before, which take no lock: where one was alive of late, is it still?"""
    before = _looked_at()
    if before is None or abs(datetime.now(UTC) - before) > _RECENTLY:
        return
    until = time.monotonic() + _WATCHED_FOR_SECONDS
    while time.monotonic() < until:
        if _looked_at() != before:
            raise CannotCopy(f"a live server uses the database; {_STOP_THEM}")
        time.sleep(_LOOK_EVERY_SECONDS)


def _looked_at() -> datetime | None:
    return LeaseWatch.objects.filter(id=1).values_list("looked_at", flat=True).first()
