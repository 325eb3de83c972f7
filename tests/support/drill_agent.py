"""An agent of the drill (tests.support.drill): takes jobs of a pool, and starts one by writing a line.

It may be killed at any moment. Its journal, one line a step, says what it did: `wants ID` before it accepts,
`starts ID ATTEMPT` as the start itself, and `ended ID` when the server knows the end.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import grpc

from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from tests.support.patience import PATIENCE_SECONDS

TAKE = 10
LEASE_SECONDS = 3_600
_ASK_AGAIN_SECONDS = 0.2

_Answer = TypeVar("_Answer")


class Agent:
    def __init__(self, stub: RainbowSchedulerStub, cluster: str, secret: str, journal: Path) -> None:
        self._stub = stub
        self._cluster = cluster
        self._secret = secret
        self._name = journal.name
        self._file = os.open(journal, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._steps: dict[str, set[int]] = {"wants": set(), "starts": set(), "ended": set()}
        self._attempts: dict[int, int] = {}
        for what, job_id, *attempt in map(str.split, journal.read_text().splitlines()):
            self._steps[what].add(int(job_id))
            self._attempts |= {int(job_id): int(number) for number in attempt}

    def work(self) -> None:
        """For ever. First what was under way when an earlier one of its name was killed."""
        self._take(self._steps["wants"] - self._steps["starts"])
        self._report()
        while True:
            request = pb.RequestJobsRequest(
                cluster=self._cluster, secret=self._secret, maxJobs=TAKE, shared=True, wait_seconds=5, max_nodes=1
            )
            self._take(set(self._call(self._stub.RequestJobs, request).jobids))
            self._report()

    def _take(self, job_ids: set[int]) -> None:
        if not job_ids:
            return
        self._note("wants", *((job_id,) for job_id in job_ids - self._steps["wants"]))
        request = pb.AcceptJobsRequest(
            cluster=self._cluster,
            secret=self._secret,
            jobids=sorted(job_ids),
            agent=self._name,
            lease_seconds=LEASE_SECONDS,
        )
        for job in self._call(self._stub.AcceptJobs, request).accepted:
            if job.jobid not in self._steps["starts"]:
                self._attempts[job.jobid] = job.attempt
                self._note("starts", (job.jobid, job.attempt))

    def _report(self) -> None:
        ended = sorted(self._steps["starts"] - self._steps["ended"])
        if not ended:
            return
        reports = [
            pb.JobReport(jobid=id, attempt=self._attempts[id], state=pb.JOB_STATE_COMPLETED, exit_code=0)
            for id in ended
        ]
        request = pb.ReportJobsRequest(agent=self._name, reports=reports)
        self._call(self._stub.ReportJobs, request)
        self._note("ended", *((job_id,) for job_id in ended))

    def _note(self, what: str, *steps: Sequence[int]) -> None:
        """Each line in one write: all of it is there after a kill, or nothing."""
        for step in steps:
            os.write(self._file, f"{what} {' '.join(map(str, step))}\n".encode())
            self._steps[what].add(step[0])

    def _call(self, method: Callable[..., _Answer], request: object) -> _Answer:
        """Until the server, which is killed too, answers."""
        bearer = (("authorization", f"Bearer {self._secret}"),)
        while True:
            try:
                return method(request, timeout=PATIENCE_SECONDS, metadata=bearer)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    raise
                time.sleep(_ASK_AGAIN_SECONDS)


def main() -> None:
    address, cluster, secret, journal = sys.argv[1:]
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
    with grpc.insecure_channel(address, options=options) as channel:
        Agent(RainbowSchedulerStub(channel), cluster, secret, Path(journal)).work()


if __name__ == "__main__":
    main()
