"""The calls of a cluster: request jobs, accept them, report on them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rainbow import answers, offers, records, reports, translation
from rainbow.client_session import ClientSession, expect
from rainbow.connection import metadata_of
from rainbow.fact_messages import facts_message
from rainbow.facts import Facts
from rainbow.pending_call import PendingCall
from rainbow.protos import rainbow_pb2 as pb
from rainbow.wishes import Chunk, Wish, wishes_in


class QueueCalls(ClientSession):
    def request_jobs(
        self,
        *,
        max_jobs: int = 0,
        wait_seconds: int = 0,
        max_nodes: int = 0,
        max_tasks: int = 0,
        max_cores: int = 0,
        max_time_limit_seconds: int = 0,
        labels: Mapping[str, str] | None = None,
        shared: bool = False,
    ) -> records.WaitingJobs:
        """The waiting jobs, in the order of the queue; reserves nothing. A limit of 0 is no limit.

        With `shared` also those of pools that the cluster may take, and those with needs. When nothing waits, the
        answer comes after `wait_seconds`, 0 to 300, or as soon as something does.
        """
        request = self._queue_request(
            maxJobs=max_jobs,
            wait_seconds=wait_seconds,
            max_nodes=max_nodes,
            max_tasks=max_tasks,
            max_cores=max_cores,
            max_time_limit_seconds=max_time_limit_seconds,
            labels=labels,
            shared=shared,
        )
        return self._offered(self._wait_for_jobs(request), most=max_jobs)

    def begin_request(
        self, *, max_jobs: int, wait_seconds: int, max_nodes: int, max_tasks: int, max_cores: int = 0
    ) -> PendingCall[records.WaitingJobs]:
        """As `request_jobs` with `shared`, without waiting for the answer and without retries."""
        request = self._queue_request(
            maxJobs=max_jobs,
            wait_seconds=wait_seconds,
            max_nodes=max_nodes,
            max_tasks=max_tasks,
            max_cores=max_cores,
            shared=True,
        )
        timeout_seconds = self._connection.timeout_seconds + wait_seconds
        return self._connection.begin(
            self._stub.RequestJobs,
            request,
            timeout_seconds=timeout_seconds,
            read=lambda answer: self._offered(answer, most=max_jobs),
        )

    def accept_jobs(self, jobids: Sequence[int], *, agent: str = "", lease_seconds: int = 0) -> records.Acceptance:
        """Take waiting jobs off the queue, to run them.

        With an agent's name a lease runs (rainbow/leases.py; 0 means the server's default), and the same agent may
        ask again and gets the same answer. Without one the jobs are handed over for good; asking again would call
        them taken.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.AcceptJobsRequest(
                cluster=self.cluster,
                secret=self._secret,
                jobids=jobids,
                sent=translation.now(),
                agent=agent,
                lease_seconds=lease_seconds,
            )
        ask = self._connection.ask if agent else self._connection.ask_once
        answer = ask(self._stub.AcceptJobs, request)
        partial = pb.AcceptJobsResponse.RESULT_TYPE_PARTIAL
        expect(answer.status, partial, pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS)
        return answers.acceptance(answer, asked=jobids)

    def report_jobs(
        self,
        told: Sequence[reports.JobReport],
        *,
        agent: str,
        lease_seconds: int = 0,
        not_ready: str = "",
        pause: str = "",
        hold_after: int = 0,
        facts: Facts | None = None,
    ) -> tuple[reports.ReportResult, ...]:
        """Report on up to 1,000 jobs, and renew their leases. A result for each, in their order.

        `not_ready` says why the agent takes no jobs now. `pause` pauses the cluster, for this reason. `hold_after`: so
        many jobs of one token in a row that fail at once hold back the token's others; 0 is never. `facts` are all that
        the cluster says of itself; None leaves that as it is.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ReportJobsRequest(
                cluster=self.cluster,
                agent=agent,
                reports=[reports.report_message(report) for report in told],
                lease_seconds=lease_seconds,
                not_ready=not_ready,
                pause=pause,
                hold_after=hold_after,
                facts=facts_message(facts) if facts is not None else None,
            )
        answer = self._connection.ask(self._stub.ReportJobs, request, credential=self._secret)
        return reports.report_results(answer, reports=told)

    def begin_to_await_wishes(
        self, *, agent: str, wait_seconds: int, done: Mapping[int, str]
    ) -> PendingCall[tuple[Wish, ...]]:
        """What the server wants of the agent before its next report, as soon as it wants something, or nothing after
        `wait_seconds`, 0 to 300. `done`: what became of earlier wishes, by id; empty, or why one could not be done.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.AwaitWishesRequest(
                cluster=self.cluster,
                agent=agent,
                wait_seconds=wait_seconds,
                done=[pb.DoneWish(id=id, error=error) for id, error in done.items()],
            )
        return self._connection.begin(
            self._stub.AwaitWishes,
            request,
            timeout_seconds=self._connection.timeout_seconds + wait_seconds,
            read=wishes_in,
            credential=self._secret,
        )

    def send_output(self, stream: str, chunks: Iterable[Chunk], *, agent: str) -> Iterator[bool]:
        """Send what a wish wants. Another thread takes the chunks; for each comes whether more is wanted."""

        def requests() -> Iterator[pb.SendOutputRequest]:
            first = {"cluster": self.cluster, "agent": agent, "stream": stream}
            for chunk in chunks:
                yield pb.SendOutputRequest(
                    **first, offset=chunk.offset, data=chunk.data, end=chunk.end, error=chunk.error
                )
                first = {}

        metadata = metadata_of(self._secret)
        for answer in self._connection.exchange(self._stub.SendOutput, requests(), metadata=metadata):
            yield not answer.stop

    def _queue_request(self, **wanted: Any) -> pb.RequestJobsRequest:
        with translation.refusing_what_the_wire_cannot_carry():
            return pb.RequestJobsRequest(cluster=self.cluster, secret=self._secret, sent=translation.now(), **wanted)

    def _wait_for_jobs(self, request: pb.RequestJobsRequest) -> pb.RequestJobsResponse:
        usual, wait, metadata = self._connection.timeout_seconds, request.wait_seconds, metadata_of()

        def attempt(left: float) -> pb.RequestJobsResponse:
            request.wait_seconds = min(wait, max(0, math.ceil(left - usual)))
            return self._connection.send(self._stub.RequestJobs, request, timeout_seconds=left, metadata=metadata)

        return self._connection.repeat(attempt, deadline_seconds=usual + max(0, wait))

    def _offered(self, answer: pb.RequestJobsResponse, *, most: int) -> records.WaitingJobs:
        nothing = pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS
        expect(answer.status, nothing, pb.RequestJobsResponse.REQUEST_JOBS_SUCCESS)
        return offers.waiting_jobs(answer, cluster=self.cluster, most=most)
