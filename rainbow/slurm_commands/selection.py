"""Which jobs squeue, sacct and scancel mean."""

from collections.abc import Iterable
from dataclasses import dataclass

from rainbow.records import Job
from rainbow.slurm_commands.job_states import slurm_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A job has to fit all of these; an empty set lets all pass, and so does `states` None.

    `mine`: the jobs of who asks are wanted, too, whoever that is to the server.
    """

    states: frozenset[str] | None = None
    names: frozenset[str] = frozenset()
    partitions: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    mine: bool = False

    @property
    def name(self) -> str:
        """The one name, for the server to look for; empty if there are several or none."""
        return next(iter(self.names)) if len(self.names) == 1 else ""

    def fits(self, job: Job) -> bool:
        return (
            (self.states is None or slurm_state(job).name in self.states)
            and job.name in (self.names or (job.name,))
            and job.partition in (self.partitions or (job.partition,))
            and job.account in (self.accounts or (job.account,))
            and (not self.users or job.owner in self.users)
        )


def items(texts: Iterable[str]) -> frozenset[str]:
    """Of values with commas between."""
    return frozenset(item.strip() for text in texts for item in text.split(",") if item.strip())
