"""An agent of a Slurm that withdraws its jobs, and is killed, as by `kill -9`, at some call of its own code.

    python -m tests.support.withdrawing_agent ADDRESS CLUSTER SECRET FOLDER [CALL]

CALL counts from the first call of the withdrawal. Without it the agent works until nothing is left to do. An hour
passes once the scheduler has a job, or has passed for the successor of one that was killed.
"""

import itertools
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from rainbow.agent.agent import Agent
from rainbow.agent.context import AgentContext, AgentSettings, Checkpoint
from rainbow.agent.identity import identity_in
from rainbow.agent.journal import Journal
from rainbow.agent.withdrawal import Withdrawal
from rainbow.client import Client
from rainbow.executors.executor import Site
from rainbow.executors.slurm import SlurmExecutor
from tests.support.agents import Clock

HOUR = 3600
OURS = str(Path(sys.modules[Withdrawal.__module__].__file__ or "").parents[1])


def main(address: str, cluster: str, secret: str, folder: Path, doom: int) -> None:
    clock = Clock()

    def pass_time(moment: Checkpoint) -> None:
        if doom and moment == Checkpoint.SUBMITTED_NOTED:
            clock.move(HOUR)

    if doom:
        sys.settrace(_dying(doom))
    else:
        clock.move(HOUR)
    settings = AgentSettings(agent=identity_in(folder, "doomed"), lease_seconds=HOUR, interval_seconds=0.05, ahead=1)
    executor = SlurmExecutor(Site(folder=folder, environment=dict(os.environ)))
    with Client(address, cluster=cluster, secret=secret) as client, Journal(folder) as journal:
        context = AgentContext(
            client=client, executor=executor, settings=settings, clock=clock.now, checkpoint=pass_time
        )
        Agent(context, journal).run(once=True)


def _dying(doom: int) -> Any:
    calls = itertools.count(1)
    began: list[bool] = []

    def count(frame: FrameType, event: str, value: object) -> None:
        if frame.f_code is Withdrawal._withdraw.__code__:
            began.append(True)
        if began and frame.f_code.co_filename.startswith(OURS) and next(calls) == doom:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


if __name__ == "__main__":
    _, address, cluster, secret, folder, *doom = sys.argv
    main(address, cluster, secret, Path(folder), int(doom[0]) if doom else 0)
