"""The faults, one after another. Each is a context: it begins on entering, and is over on leaving."""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from benchmarks.chaos.database import DISK_MIB
from benchmarks.chaos.fleet import FAKETIME, Fleet
from benchmarks.chaos.held_job import held_job

CLOCK_STEP_SECONDS = 2 * 3_600
# Servers look so often for leases that are over (jobs/services/expire.py).
_LOOKS_EVERY_SECONDS = 5
# PostgreSQL's most.
SYNC_DELAY_MICROSECONDS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`did` says what is done, `missing` why it cannot be done here; empty if it can. `prepare` comes before."""

    name: str
    did: str
    strike: Callable[[Fleet], AbstractContextManager[None]]
    missing: Callable[[Fleet], str] = lambda fleet: ""
    prepare: Callable[[Fleet], None] = lambda fleet: None


@contextmanager
def _server_killed(fleet: Fleet) -> Iterator[None]:
    fleet.kill_server()
    yield
    fleet.start_server_again()


@contextmanager
def _postmaster_killed(fleet: Fleet) -> Iterator[None]:
    fleet.database.kill()
    yield
    fleet.database.start_again()


@contextmanager
def _connection_cut(fleet: Fleet) -> Iterator[None]:
    for proxy in fleet.proxies:
        proxy.deafen()
    time.sleep(1)
    for proxy in fleet.proxies:
        proxy.cut()
    yield
    for proxy in fleet.proxies:
        proxy.mend()


@contextmanager
def _slow_disk(fleet: Fleet) -> Iterator[None]:
    fleet.database.ask(
        f"ALTER SYSTEM SET commit_delay = {SYNC_DELAY_MICROSECONDS}",
        "ALTER SYSTEM SET commit_siblings = 0",
        "SELECT pg_reload_conf()",
    )
    yield
    fleet.database.ask("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


@contextmanager
def _clock_step(fleet: Fleet) -> Iterator[None]:
    """A job runs meanwhile, with a lease that is over by the server's clock when it looks for such leases."""
    with held_job(fleet):
        fleet.set_clock(CLOCK_STEP_SECONDS)
        time.sleep(_LOOKS_EVERY_SECONDS)
        yield
        assert fleet.newest_job_is_ahead_by_seconds() > CLOCK_STEP_SECONDS / 2, "the clock did not step"
        fleet.set_clock(0)


@contextmanager
def _pool_exhausted(fleet: Fleet) -> Iterator[None]:
    with fleet.database.all_connections():
        yield


@contextmanager
def _disk_full(fleet: Fleet) -> Iterator[None]:
    assert fleet.database.disk
    file = fleet.database.disk / "filler"
    with file.open("wb", buffering=0) as filler:
        try:
            for _ in range(DISK_MIB * 16):
                filler.write(bytes(64 * 1024))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        yield
    file.unlink()
    # A PostgreSQL that could not write its log has ended.
    fleet.database.start_again()


FAULTS = (
    Fault(
        name="server killed",
        did="SIGKILL to one of the two servers, which is started again 5 s later",
        strike=_server_killed,
    ),
    Fault(
        name="postmaster killed",
        did="SIGKILL to PostgreSQL's postmaster, which is started again 5 s later",
        strike=_postmaster_killed,
    ),
    Fault(
        name="connection cut",
        did="a proxy before each server loses all answers for 1 s, then breaks all connections and takes none for 5 s",
        strike=_connection_cut,
    ),
    Fault(
        name="slow disk",
        did=f"each flush of PostgreSQL's log waits {SYNC_DELAY_MICROSECONDS // 1000} ms more (commit_delay)",
        strike=_slow_disk,
    ),
    Fault(
        name="connections exhausted",
        did="the servers' database connections are ended, and all that PostgreSQL allows are held by another for 5 s",
        strike=_pool_exhausted,
    ),
    Fault(
        name="disk full",
        did=f"the file system of PostgreSQL's data, a tmpfs of {DISK_MIB} MiB, is filled up for 5 s",
        strike=_disk_full,
        missing=lambda fleet: "" if fleet.database.disk else "needs root, to mount a small file system",
    ),
    Fault(
        name="clock step",
        did=f"one server's clock goes {CLOCK_STEP_SECONDS // 3600} h ahead and back, while a job runs (by libfaketime)",
        strike=_clock_step,
        prepare=Fleet.fake_clock,
        missing=lambda fleet: "" if FAKETIME else "needs libfaketime (Debian's package faketime)",
    ),
)
