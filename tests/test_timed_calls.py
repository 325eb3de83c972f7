"""Calls without a time limit of their own."""

import threading

import pytest

from rainbow.executors.executor import SchedulerSilent
from rainbow.executors.timed_calls import MOST_LEFT_BEHIND, TimedCalls
from tests.support.executors import wait_until


def test_an_answer_is_handed_on() -> None:
    assert TimedCalls("Flux").run(lambda: 7) == 7


@pytest.mark.parametrize("error", [OSError(5, "broken"), SystemExit(2)])
def test_what_a_call_raises_is_silence_with_its_cause(error: BaseException) -> None:
    def call() -> None:
        raise error

    with pytest.raises(SchedulerSilent, match=r"^Flux: ") as silence:
        TimedCalls("Flux").run(call)

    assert silence.value.__cause__ is error


def test_a_scheduler_that_stands_still_does_not_pile_up_threads() -> None:
    stands_still = threading.Event()
    calls = TimedCalls("Flux", timeout_seconds=0.01)
    # Those of other tests may end meanwhile.
    before = set(threading.enumerate())

    for _ in range(3 * MOST_LEFT_BEHIND):
        with pytest.raises(SchedulerSilent):
            calls.run(lambda: stands_still.wait(600))
    with pytest.raises(SchedulerSilent, match="has not answered 4 earlier calls yet"):
        calls.run(lambda: 7)
    left_behind = set(threading.enumerate()) - before
    stands_still.set()
    wait_until(lambda: not any(thread.is_alive() for thread in left_behind))

    assert len(left_behind) == MOST_LEFT_BEHIND
    assert TimedCalls("Flux").run(lambda: 7) == 7
    assert calls.run(lambda: 7) == 7
