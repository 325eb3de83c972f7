"""One fault after another on a fleet that works, and the verdict on each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from benchmarks.chaos.faults import Fault
from benchmarks.chaos.fleet import Fleet
from benchmarks.chaos.ledger import Verdict, Window, answered_after, judge, read_calls
from tests.support.patience import wait_until

FAULT_SECONDS = 5.0
CALM = "no fault"
# For jobs to end, once no more are submitted.
PATIENCE_SECONDS = 120.0


def run(fleet: Fleet, faults: Sequence[Fault], *, seconds: float = FAULT_SECONDS) -> dict[str, Verdict]:
    """By the fault's name. Raises AssertionError where submitters get no answers again."""
    windows = dict(_windows(fleet, faults, seconds))
    fleet.stop_submitting()
    _settle(fleet)
    calls, completed, starts = read_calls(fleet.calls), fleet.completed(), fleet.starts()
    return {name: judge(window, calls, completed=completed, starts=starts) for name, window in windows.items()}


def _settle(fleet: Fleet) -> None:
    """Waits for the jobs to end. What has not ended by then counts as lost."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while fleet.left() and time.monotonic() < deadline:
        time.sleep(0.5)


def _windows(fleet: Fleet, faults: Sequence[Fault], seconds: float) -> Iterator[tuple[str, Window]]:
    _wait_for_answers(fleet, time.monotonic())
    yield CALM, _struck(fleet, nullcontext(), 2 * seconds)
    for fault in faults:
        fault.prepare(fleet)
        _wait_for_answers(fleet, time.monotonic())
        yield fault.name, _struck(fleet, fault.strike(fleet), seconds)
        time.sleep(seconds)


def _struck(fleet: Fleet, fault: AbstractContextManager[None], seconds: float) -> Window:
    began = time.monotonic()
    with fault:
        time.sleep(seconds)
        over = time.monotonic()
    return Window(began=began, over=over, recovered=_wait_for_answers(fleet, over))


def _wait_for_answers(fleet: Fleet, since: float) -> float:
    """When the last of all submitters had an answer again."""
    answered: dict[int, float] = {}

    def all_answered() -> bool:
        nonlocal answered
        answered = answered_after(read_calls(fleet.calls), since)
        return len(answered) == fleet.size.submitters

    wait_until(all_answered, pause_seconds=0.2)
    return max(answered.values())
