"""The states of a job as the IRI Facility API calls them (PSI/J's), and back."""

from collections.abc import Mapping

from jobs.states import JobState

# Of a lost job it is not known whether it runs: it is over only when its cluster, or a person, says so.
STATE_OF: Mapping[JobState, str] = {
    JobState.BLOCKED: "held",
    JobState.QUEUED: "queued",
    JobState.ACCEPTED: "queued",
    JobState.RUNNING: "active",
    JobState.LOST: "active",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "canceled",
}
# No job of a server is new: that is one which a client has not submitted.
STATES = ("new", "queued", "held", "active", "completed", "failed", "canceled")


def states_called(name: str) -> frozenset[JobState]:
    return frozenset(state for state, called in STATE_OF.items() if called == name)
