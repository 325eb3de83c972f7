"""The scheduler, and the folder in which an agent keeps what it must not forget."""

import fcntl
import getpass
import os
import tempfile
from pathlib import Path

from rainbow.agent import identity
from rainbow.agent.facts import bounded
from rainbow.agent.job_reports import AS_ROOT
from rainbow.doctor.findings import CheckFailed, Passed
from rainbow.errors import RainbowError
from rainbow.executors.executor import Executor
from rainbow.executors.table import EXECUTORS
from rainbow.system import disk_space
from rainbow.system.file_locks import is_locked

# How many partitions are named.
_NAMED = 10


def try_folder(folder: Path) -> str:
    """Makes nothing: where the folder does not exist, tries the nearest one above it."""
    try:
        place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=place) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(b"rainbow")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        advice = "Choose a folder that the agent's user may write, on a file system that knows locks, by --state-dir."
        raise CheckFailed(f"{folder}: {error.strerror}", advice=advice) from error
    if short := disk_space.shortage(place):
        raise CheckFailed(short, advice="Make space, or choose a folder on another disk, by --state-dir.")
    if place != folder:
        return f"{folder} does not exist yet; an agent can make it in {place}"
    if fault := identity.fault(folder):
        raise CheckFailed(fault, advice="Each identity belongs to one agent; docs/agent.md, One agent, one folder.")
    if _in_use(folder):
        return f"{folder} can be written; an agent uses it now, and a second one would be refused"
    return f"{folder} can be written and locked"


def _in_use(folder: Path) -> bool:
    try:
        handle = os.open(folder / "agent.lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no agent has been here yet
        return False
    return is_locked(handle)


def ask_scheduler(executor: Executor | None, *, name: str) -> Passed:
    if executor is None:
        return Passed(what="not asked; --executor says which")
    try:
        capacity = executor.capacity()
    except RainbowError as error:
        probe = EXECUTORS[name].probe
        by_hand = f"; try by hand: {probe}" if probe else ""
        advice = f"The scheduler {name} has to work for this user on this machine{by_hand}."
        raise CheckFailed(str(error), advice=advice) from error
    if capacity.not_ready:
        raise CheckFailed(capacity.not_ready, advice="Agents take no jobs until this is over.")
    access = executor.access
    answer = f"it answers: {capacity.nodes} nodes and {capacity.slots} slots are free now; reached {access.description}"
    return Passed(what=answer, advice=access.advice)


def read_facts(executor: Executor | None) -> Passed:
    """An agent works without them."""
    if executor is None:
        return Passed(what="not read; --executor says of which scheduler")
    try:
        facts = bounded(executor.facts())
    except RainbowError as error:
        return Passed(what=f"not told: {error}", advice="Without facts jobs come here whatever they ask for.")
    values = ", ".join(f"{name} {value}" for name, value in facts.values.items() if isinstance(value, str))
    names = list(facts.by_partition())
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return Passed(what=f"partitions: {', '.join(names[:_NAMED]) or 'none'}{more}; {values}")


def check_user() -> Passed:
    if os.geteuid() == 0:
        return Passed(what="jobs run as root", advice=f"Mind that {AS_ROOT}.")
    name = getpass.getuser()
    return Passed(what=f"jobs run as {name}, and can read and end what {name} can")
