"""The two states of a job that an agent holds: how far it got, and what the server wants of it."""

from collections.abc import Mapping
from enum import StrEnum

from rainbow.agent.journal import Step


class Stage(StrEnum):
    """How far a job got. The journal has each but ANNOUNCED and IN_DOUBT, which a restart makes IN_DOUBT."""

    # The server gave the job to this agent.
    ACCEPTED = "accepted"
    # The journal says that it is about to be handed over; the scheduler does not have it.
    PREPARED = "prepared"
    # The server knows that as well, so that it gives the job to no other agent.
    ANNOUNCED = "announced"
    # The scheduler was given it and did not answer, or the agent restarted: it has to be asked.
    IN_DOUBT = "in doubt"
    # The scheduler has it, and has not started it.
    SUBMITTED = "submitted"
    RUNNING = "running"
    # It is over, and the server does not know that yet.
    ENDED = "ended"


class Desired(StrEnum):
    """What the server wants of a job. It never goes back to an earlier one."""

    # To run it to its end.
    RUN = "run"
    # To stop it and to report its end.
    CANCEL = "cancel"
    # To stop it and to report no more: another attempt counts, or the server has no such job.
    ABANDON = "abandon"


# Before the hand-over began: such a job needs nothing of the scheduler.
NOT_HANDED_OVER = frozenset({Stage.ACCEPTED, Stage.PREPARED, Stage.ANNOUNCED})
IN_SCHEDULER = frozenset({Stage.SUBMITTED, Stage.RUNNING})
# What will still take free capacity, as far as is known.
WAITING = frozenset(Stage) - {Stage.RUNNING, Stage.ENDED}

MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.ACCEPTED: frozenset({Stage.PREPARED, Stage.ENDED}),
    Stage.PREPARED: frozenset({Stage.ANNOUNCED, Stage.ENDED}),
    Stage.ANNOUNCED: frozenset({Stage.IN_DOUBT, Stage.ENDED}),
    Stage.IN_DOUBT: frozenset({Stage.PREPARED, Stage.ANNOUNCED, Stage.SUBMITTED, Stage.ENDED}),
    Stage.SUBMITTED: frozenset({Stage.RUNNING, Stage.ENDED}),
    Stage.RUNNING: frozenset({Stage.ENDED}),
    Stage.ENDED: frozenset(),
}

# What the journal says of each.
STEPS: Mapping[Stage, Step] = {
    Stage.ACCEPTED: Step.ACCEPTED,
    Stage.PREPARED: Step.SUBMITTING,
    Stage.ANNOUNCED: Step.SUBMITTING,
    Stage.IN_DOUBT: Step.SUBMITTING,
    Stage.SUBMITTED: Step.SUBMITTED,
    Stage.RUNNING: Step.RUNNING,
    Stage.ENDED: Step.ENDED,
}

# What the journal's word means to an agent that has just started.
AFTER_A_RESTART: Mapping[Step, Stage] = {
    Step.ACCEPTED: Stage.ACCEPTED,
    Step.SUBMITTING: Stage.IN_DOUBT,
    Step.SUBMITTED: Stage.SUBMITTED,
    Step.RUNNING: Stage.RUNNING,
    Step.ENDED: Stage.ENDED,
}


def check_move(before: Stage, after: Stage) -> None:
    """Raises ValueError for a move that no job makes."""
    if after not in MOVES[before]:
        raise ValueError(f"a job that is {before} cannot become {after}")
