from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from clusters.callers import Caller
from clusters.services.authenticate import authenticate
from clusters.services.of_people import Refusal
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.cluster_messages import facts_from
from grpc_api.rpcs.messages import REPORT_OUTCOMES, report_from, timestamp
from grpc_api.rpcs.server_state import PULLERS, Answered, Claimed, ServerState, bearer_claim, credential_of
from grpc_api.runtime.group_commit import GroupCommit
from jobs.reports import AgentReport, Reported
from jobs.services.report import report_jobs_batch
from rainbow.errors import RainbowError
from rainbow.protos import rainbow_pb2 as pb

ClaimedReport = Claimed[pb.ReportJobsRequest]
AnsweredReport = Answered[pb.ReportJobsResponse]


class ReportingRpcs:
    def __init__(self, server: ServerState, *, batch: int) -> None:
        self._server = server
        self._group_commit = GroupCommit(
            server.pools.writers,
            self._write,
            verb="report",
            most=batch,
            jobs_of=lambda call: max(1, len(call.request.reports)),
            caller_of=credential_of,
        )

    async def ReportJobs(self, request: pb.ReportJobsRequest, call: Call) -> pb.ReportJobsResponse:
        claim = bearer_claim(call, request.cluster, PULLERS)
        answered = await self._group_commit(Claimed(request=request, claim=claim))
        reply = self._server.noted(answered, call).reply
        call.note(reports=len(request.reports))
        self._server.wakeups.wake([result.jobid for result in reply.results])
        return reply

    def _write(self, calls: list[ClaimedReport]) -> Callable[[], list[AnsweredReport | Exception]]:
        return partial(answer_reports, calls, self._server.clock())


def answer_reports(calls: Sequence[ClaimedReport], now: datetime) -> list[AnsweredReport | Exception]:
    """Answers many ReportJobs calls in one transaction; one that is refused fails alone."""
    callers = authenticate([call.claim for call in calls], now=now)
    agent_reports = [_agent_report(call.request, caller) for call, caller in zip(calls, callers, strict=True)]
    good = [one for one in agent_reports if isinstance(one, AgentReport)]
    outcomes = iter(report_jobs_batch(agent_reports=good, now=now))
    return [_reported(next(outcomes), one) if isinstance(one, AgentReport) else one for one in agent_reports]


def _agent_report(request: pb.ReportJobsRequest, caller: Caller | Refusal) -> AgentReport | RainbowError:
    if isinstance(caller, RainbowError):
        return caller
    try:
        return AgentReport(
            caller=caller,
            agent=request.agent,
            reports=[report_from(message) for message in request.reports],
            lease_seconds=request.lease_seconds,
            not_ready=request.not_ready,
            pause=request.pause,
            hold_after=request.hold_after,
            facts=facts_from(request.facts) if request.HasField("facts") else None,
        )
    except RainbowError as error:
        return error


def _reported(outcome: Sequence[Reported] | RainbowError, agent_report: AgentReport) -> AnsweredReport | RainbowError:
    if isinstance(outcome, RainbowError):
        return outcome
    results = [
        pb.ReportResult(
            jobid=result.job_id,
            outcome=REPORT_OUTCOMES[result.outcome],
            cancel=result.cancel,
            lease_expires_at=timestamp(result.lease_expires_at),
        )
        for result in outcome
    ]
    return Answered(caller=agent_report.caller, reply=pb.ReportJobsResponse(results=results))
