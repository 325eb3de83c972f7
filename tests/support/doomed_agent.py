"""An agent of this machine that is killed, as by `kill -9`, the first time that it comes to a checkpoint.

    python -m tests.support.doomed_agent ADDRESS CLUSTER SECRET FOLDER [CHECKPOINT]

Without a checkpoint it works until nothing is left to do.
"""

import os
import signal
import sys
from pathlib import Path

from rainbow.agent.agent import Agent
from rainbow.agent.context import AgentContext, AgentSettings, Checkpoint
from rainbow.agent.identity import identity_in
from rainbow.agent.journal import Journal
from rainbow.client import Client
from tests.support.agents import Hesitant


def main(address: str, cluster: str, secret: str, folder: Path, doom: Checkpoint | None) -> None:
    def die(moment: Checkpoint) -> None:
        if moment == doom:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = AgentSettings(agent=identity_in(folder, "doomed"), lease_seconds=3600, interval_seconds=0.05)
    with Client(address, cluster=cluster, secret=secret) as client, Journal(folder) as journal:
        Agent(AgentContext(client=client, executor=Hesitant(folder), settings=settings, checkpoint=die), journal).run(
            once=True
        )


if __name__ == "__main__":
    _, address, cluster, secret, folder, *doom = sys.argv
    main(address, cluster, secret, Path(folder), Checkpoint[doom[0]] if doom else None)
