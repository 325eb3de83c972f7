"""An agent that is killed, as by `kill -9`, the first time that it comes to a checkpoint.

It runs jobs on this machine (`local`), on the Slurm that SLURM_CONF names, or on the Flux that FLUX_URI names.

    python -m tests.support.doomed_agent SCHEDULER ADDRESS CLUSTER SECRET FOLDER [CHECKPOINT]

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
from rainbow.executors.flux import flux_executor
from rainbow.executors.slurm import SlurmExecutor
from tests.support.agents import Hesitant

# How many jobs may wait in the queue of Slurm or Flux.
AHEAD = 500


def main(scheduler: str, address: str, cluster: str, secret: str, folder: Path, doom: Checkpoint | None) -> None:
    def die(moment: Checkpoint) -> None:
        if moment == doom:
            os.kill(os.getpid(), signal.SIGKILL)

    ahead = 0 if scheduler == "local" else AHEAD
    settings = AgentSettings(
        agent=identity_in(folder, "doomed"), lease_seconds=3600, interval_seconds=0.05, ahead=ahead
    )
    with Client(address, cluster=cluster, secret=secret) as client, Journal(folder) as journal:
        executor = _executor(scheduler, folder)
        context = AgentContext(client=client, executor=executor, settings=settings, checkpoint=die)
        Agent(context, journal).run(once=True)


def _executor(scheduler: str, folder: Path) -> Executor:
    if scheduler == "local":
        return cast(Executor, Hesitant(folder))
    site = Site(folder=folder, environment=dict(os.environ))
    return {"slurm": SlurmExecutor, "flux": flux_executor}[scheduler](site)


if __name__ == "__main__":
    _, scheduler, address, cluster, secret, folder, *doom = sys.argv
    main(scheduler, address, cluster, secret, Path(folder), Checkpoint[doom[0]] if doom else None)
