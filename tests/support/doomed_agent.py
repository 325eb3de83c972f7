"""An agent that is killed, as by `kill -9`, the first time that it comes to a checkpoint.

It runs jobs on this machine, or on the Slurm that SLURM_CONF names.

    python -m tests.support.doomed_agent ADDRESS CLUSTER SECRET FOLDER [CHECKPOINT]

Without a checkpoint it works until nothing is left to do.
"""

import os
import signal
import sys
from pathlib import Path
from typing import cast

from rainbow.agent.agent import Agent
from rainbow.agent.context import AgentContext, AgentSettings, Checkpoint
from rainbow.agent.identity import identity_in
from rainbow.agent.journal import Journal
from rainbow.client import Client
from rainbow.executors.executor import Executor, Site
from rainbow.executors.slurm import SlurmExecutor
from tests.support.agents import Hesitant

# How many jobs may wait in Slurm's queue.
AHEAD = 500


def main(address: str, cluster: str, secret: str, folder: Path, doom: Checkpoint | None) -> None:
    def die(moment: Checkpoint) -> None:
        if moment == doom:
            os.kill(os.getpid(), signal.SIGKILL)

    ahead = AHEAD if "SLURM_CONF" in os.environ else 0
    settings = AgentSettings(
        agent=identity_in(folder, "doomed"), lease_seconds=3600, interval_seconds=0.05, ahead=ahead
    )
    with Client(address, cluster=cluster, secret=secret) as client, Journal(folder) as journal:
        Agent(AgentContext(client=client, executor=_executor(folder), settings=settings, checkpoint=die), journal).run(
            once=True
        )


def _executor(folder: Path) -> Executor:
    if "SLURM_CONF" in os.environ:
        return SlurmExecutor(Site(folder=folder, environment=dict(os.environ)))
    return cast(Executor, Hesitant(folder))


if __name__ == "__main__":
    _, address, cluster, secret, folder, *doom = sys.argv
    main(address, cluster, secret, Path(folder), Checkpoint[doom[0]] if doom else None)
