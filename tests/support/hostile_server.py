"""A compromised server, which sends an agent whatever a test wants."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as pb_grpc

NAME = "keebler"
_COUNTED, _STALE = pb.ReportResult.OUTCOME_COUNTED, pb.ReportResult.OUTCOME_STALE


@dataclass(slots=True)
class HostileServer(pb_grpc.RainbowSchedulerServicer):
    """`lines` are the waiting jobs, by id; `held` those that it says the agent has: the last one, if they name none.

    It accepts every report, but for those of `stale` jobs, unless it is `deaf`.
    """

    address: str = ""
    lines: dict[int, str] = field(default_factory=dict)
    held: list[pb.Job] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    further: dict[str, Any] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)
    reports: dict[int, pb.JobReport] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stale: set[int] = field(default_factory=set)
    agent: str = ""
    deaf: bool = False

    def RequestJobs(self, request: pb.RequestJobsRequest, context: grpc.ServicerContext) -> pb.RequestJobsResponse:
        self.asked.append("RequestJobs")
        waiting = {jobid: line for jobid, line in self.lines.items() if jobid not in self.accepted}
        return pb.RequestJobsResponse(**{"status": 1 if waiting else 0, "jobs": waiting, **self.further})

    def AcceptJobs(self, request: pb.AcceptJobsRequest, context: grpc.ServicerContext) -> pb.AcceptJobsResponse:
        self.asked.append("AcceptJobs")
        self.agent = request.agent
        self.accepted += request.jobids
        given = [pb.AcceptedJob(jobid=jobid, attempt=self.attempts.get(jobid, 1)) for jobid in request.jobids]
        return pb.AcceptJobsResponse(status=pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS, accepted=given)

    def ReportJobs(self, request: pb.ReportJobsRequest, context: grpc.ServicerContext) -> pb.ReportJobsResponse:
        self.asked.append("ReportJobs")
        if self.deaf:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it will not hear")
        self.agent = request.agent
        self.reports |= {report.jobid: report for report in request.reports}
        results = [
            pb.ReportResult(jobid=report.jobid, outcome=_STALE if report.jobid in self.stale else _COUNTED)
            for report in request.reports
        ]
        return pb.ReportJobsResponse(results=results)

    def ListJobs(self, request: pb.ListJobsRequest, context: grpc.ServicerContext) -> pb.ListJobsResponse:
        self.asked.append("ListJobs")
        return pb.ListJobsResponse(jobs=sorted(self.held, key=lambda job: -job.id))

    def GetJobs(self, request: pb.GetJobsRequest, context: grpc.ServicerContext) -> pb.GetJobsResponse:
        found = [job for job in self.held if job.id in request.jobids]
        for job in found:
            job.agent = job.agent or self.agent
        return pb.GetJobsResponse(jobs=found)

    def ended(self, *jobids: int) -> bool:
        final = (pb.JOB_STATE_COMPLETED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED)
        return all(jobid in self.reports and self.reports[jobid].state in final for jobid in jobids)


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    hostile = HostileServer()  # type: ignore[abstract]  # an agent makes no other calls
    server = grpc.server(ThreadPoolExecutor(4))
    pb_grpc.add_RainbowSchedulerServicer_to_server(hostile, server)
    hostile.address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield hostile
    server.stop(None).wait()
