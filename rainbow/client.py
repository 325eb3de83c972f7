"""The synchronous client of a rainbow server."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rainbow import answers, offers, records, reports, rules, submitting, translation, watch_stream
from rainbow.connection import Connection
from rainbow.errors import AlreadyExists
from rainbow.pending_call import PendingCall
from rainbow.protos import rainbow_pb2 as pb
from rainbow.retries import Patience, Retries

DEFAULT_TIMEOUT_SECONDS = 10.0
IDS_PER_LOOKUP = 1000


class Client:
    """Speaks to one rainbow server on behalf of one cluster. Threads may share it; processes may not.

    Every method raises a `RainbowError`. A call that finds no server is repeated until its deadline
    (`timeout_seconds`) and then raises Unavailable. A call that gets no answer in time raises
    DeadlineExceeded and is not repeated. `error.may_be_done` says whether the server may have done its work after any
    of the attempts, and `error.idempotency_keys` under which keys jobs that may be queued are submitted again.

    Three calls would mislead when repeated: `register`, `rotate_credential`, and `accept_jobs` without an
    agent's name. They are sent again only if the server certainly did not see them, or
    says that it did nothing about them.

    With a token and a secret both, looking up, listing, cancelling and counting jobs uses the token.
    `ca_file` holds PEM certificates to trust in place of the system's, and turns TLS on.
    """

    def __init__(
        self,
        host: str = "localhost:50051",
        *,
        cluster: str = "",
        token: str = "",
        secret: str = "",
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        tls: bool = False,
        ca_file: Path | str | None = None,
        retries: Retries | None = None,
    ) -> None:
        self.cluster = cluster
        self._token = token
        self._secret = secret
        self._retries = retries or Retries()
        self._connection = Connection(
            host, timeout_seconds=timeout_seconds, retries=self._retries, tls=tls, ca_file=ca_file
        )
        self._stub = self._connection.stub

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def use_secret(self, secret: str) -> bool:
        """Use this secret from the next call on, and say whether it is another one."""
        is_new, self._secret = secret != self._secret, secret
        return is_new

    @property
    def answers(self) -> int:
        """How many single calls were answered so far: where it rises, the server is there."""
        return self._connection.answers

    def serial(self, content_id: str = "ping") -> records.Echo:
        """Test the connection. Needs no credential."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.Request(content=pb.Content(id=content_id), sent=translation.now())
        return translation.echo(self._connection.ask(self._stub.Serial, request))

    def register(self, cluster: str, *, registration_secret: str) -> records.Registration:
        """Add a cluster. Raises AlreadyExists when the name is taken."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RegisterRequest(name=cluster, secret=registration_secret, sent=translation.now())
        answer = self._connection.ask_once(self._stub.Register, request)
        if answer.status == pb.RegisterResponse.REGISTER_EXISTS:
            raise AlreadyExists(f"{cluster} is registered already; its credentials are with those who registered it")
        _expect(answer.status, pb.RegisterResponse.REGISTER_SUCCESS)
        return answers.registration(answer, cluster=cluster)

    def submit_job(self, spec: records.JobSpec) -> records.Submission:
        """Queue one job. Submitting again under the same idempotency key makes no second one."""
        spec = submitting.with_key(spec)
        with translation.refusing_what_the_wire_cannot_carry():
            request = translation.submit_request(spec, cluster=self.cluster, token=self._token)
        with submitting.keys_kept([spec]):
            answer = self._connection.ask(self._stub.SubmitJob, request)
            _expect(answer.status, pb.SubmitJobResponse.SUBMIT_SUCCESS)
            return translation.submission(answer, key=spec.idempotency_key)

    def submit_jobs(self, specs: Iterable[records.JobSpec]) -> records.SubmitResults:
        """Queue 1 to 10,000 jobs in one call; one that is refused keeps no other out."""
        keyed = [submitting.with_key(spec) for spec in specs]
        with translation.refusing_what_the_wire_cannot_carry():
            jobs = [translation.job_spec(spec) for spec in keyed]
        request = pb.SubmitJobsRequest(cluster=self.cluster, jobs=jobs)
        with submitting.keys_kept(keyed):
            answer = self._connection.ask(self._stub.SubmitJobs, request, credential=self._token)
            return translation.submit_results(answer, keys=[spec.idempotency_key for spec in keyed])

    def submit_stream(self, specs: Iterable[records.JobSpec]) -> Iterator[records.SubmitResult]:
        """Queue any number of jobs, in batches: a result for each, in their order, while later ones are on their way.

        Up to 4,000 jobs are read ahead of the results. When the stream breaks, it is opened again, and jobs without
        a result are sent once more, under the same keys; of those that were queued already, the result says
        `duplicate`. Raises Unavailable when the server stays away for 5 minutes, and InvalidArgument at a job that
        cannot be sent. Then the last of the jobs without a result may be queued, or not.
        """
        patience = Patience(self._retries, first_seconds=self._connection.timeout_seconds)
        sender = submitting.Submitting(self._submit_batches, patience=patience)
        return sender.results(submitting.batches(specs, cluster=self.cluster))

    def request_jobs(
        self,
        *,
        max_jobs: int = 0,
        wait_seconds: int = 0,
        max_nodes: int = 0,
        max_tasks: int = 0,
        max_time_limit_seconds: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> records.WaitingJobs:
        """See which jobs wait, in the order of the queue; nothing is reserved. A limit of 0 is no limit.

        When nothing waits, the answer comes after `wait_seconds`, 0 to 300, or as soon as something does.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RequestJobsRequest(
                cluster=self.cluster,
                secret=self._secret,
                maxJobs=max_jobs,
                sent=translation.now(),
                wait_seconds=wait_seconds,
                max_nodes=max_nodes,
                max_tasks=max_tasks,
                max_time_limit_seconds=max_time_limit_seconds,
                labels=labels,
            )
        return self._offered(self._wait_for_jobs(request), most=max_jobs)

    def begin_request(
        self, *, max_jobs: int, wait_seconds: int, max_nodes: int, max_tasks: int
    ) -> PendingCall[records.WaitingJobs]:
        """The same as `request_jobs`, without waiting for the answer and without repeating."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RequestJobsRequest(
                cluster=self.cluster,
                secret=self._secret,
                maxJobs=max_jobs,
                sent=translation.now(),
                wait_seconds=wait_seconds,
                max_nodes=max_nodes,
                max_tasks=max_tasks,
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
        _expect(answer.status, partial, pb.AcceptJobsResponse.RESULT_TYPE_SUCCESS)
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
    ) -> tuple[reports.ReportResult, ...]:
        """Tell how up to 1,000 jobs go, and renew their leases. A result for each, in their order.

        `not_ready` says why the agent takes no jobs now. `pause` pauses the cluster, for this reason. `hold_after`: so
        many jobs of one token in a row that fail at once hold back the token's others; 0 is never.
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
            )
        answer = self._connection.ask(self._stub.ReportJobs, request, credential=self._secret)
        return reports.report_results(answer, reports=told)

    def watch_jobs(self, jobids: Sequence[int], *, first_seconds: float = 0) -> Iterator[records.Job]:
        """Up to 1,000 jobs as they are now, and again at each step, until all are over.

        They come without environment, output and events. When the stream breaks, it is opened again; raises
        Unavailable when the server stays away for 5 minutes, or at the beginning for `first_seconds`, which is the
        timeout unless said.
        """
        first = first_seconds or self._connection.timeout_seconds
        return watch_stream.follow(self._watch, jobids, retries=self._retries, first_seconds=first)

    def get_jobs(self, jobids: Sequence[int], *, with_events: bool = False) -> records.FoundJobs:
        """Look up any number of jobs, with all that is known of them."""
        found: list[records.Job] = []
        missing: list[int] = []
        pending = list(jobids)
        while asked := pending[:IDS_PER_LOOKUP]:
            answer = self._look_up(asked, with_events=with_events)
            jobs, unknown, remaining = answers.found(answer, asked=asked)
            found += jobs
            missing += unknown
            pending = [*remaining, *pending[IDS_PER_LOOKUP:]]
        return records.FoundJobs(jobs=tuple(found), missing=tuple(missing))

    def list_jobs(
        self,
        *,
        states: Iterable[records.JobState] = (),
        labels: Mapping[str, str] | None = None,
        name: str = "",
        page_size: int = 0,
    ) -> Iterator[records.Job]:
        """Every job that fits, newest first. Pages are fetched as they are needed."""
        states, token, before, more = tuple(states), "", rules.MAX_INT + 1, True
        while more:
            answer = self._list(states=states, labels=labels, name=name, page_size=page_size, page_token=token)
            page = answers.page(answer, before=before)
            yield from page.jobs
            token = page.next_page_token
            more = bool(token)
            before = page.jobs[-1].id if more else before

    def list_page(
        self,
        *,
        states: Iterable[records.JobState] = (),
        labels: Mapping[str, str] | None = None,
        name: str = "",
        page_size: int = 0,
        page_token: str = "",
    ) -> records.JobPage:
        """One page of 1 to 1,000 jobs; a `page_size` of 0 means 100."""
        answer = self._list(states=states, labels=labels, name=name, page_size=page_size, page_token=page_token)
        return answers.page(answer, before=rules.MAX_INT + 1)

    def _list(
        self,
        *,
        states: Iterable[records.JobState],
        labels: Mapping[str, str] | None,
        name: str,
        page_size: int,
        page_token: str,
    ) -> pb.ListJobsResponse:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ListJobsRequest(
                cluster=self.cluster,
                states=[translation.JOB_STATES[state] for state in states],
                labels=labels,
                name=name,
                page_size=page_size,
                page_token=page_token,
            )
        return self._connection.ask(self._stub.ListJobs, request, credential=self._token or self._secret)

    def cancel_jobs(self, jobids: Sequence[int], *, reason: str = "") -> tuple[records.CancelResult, ...]:
        """Stop 1 to 10,000 jobs.

        When an answer got lost on the way, a job that this very call cancelled may read ALREADY_FINAL.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.CancelJobsRequest(cluster=self.cluster, jobids=jobids, reason=reason)
        answer = self._connection.ask(self._stub.CancelJobs, request, credential=self._token or self._secret)
        return answers.cancel_results(answer, asked=jobids)

    def summarize_jobs(self) -> records.Summary:
        """Count the cluster's jobs in each state."""
        request = pb.SummarizeJobsRequest(cluster=self.cluster)
        credential = self._token or self._secret
        return translation.summary(self._connection.ask(self._stub.SummarizeJobs, request, credential=credential))

    def resume_cluster(self) -> records.Resumption:
        """Let the cluster get its jobs again. Raises FailedPrecondition where nothing kept it from them.

        With the secret a pause ends and all jobs go on that are held back; with a token alone those of the token.
        """
        request = pb.ResumeClusterRequest(cluster=self.cluster)
        answer = self._connection.ask_once(self._stub.ResumeCluster, request, credential=self._secret or self._token)
        return translation.resumption(answer)

    def rotate_credential(
        self, kind: records.CredentialKind, *, label: str = "", grace_seconds: int | None = None
    ) -> records.RotatedCredential:
        """Replace a credential's value; the old one works for `grace_seconds` more (None means 300)."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RotateCredentialRequest(
                cluster=self.cluster,
                kind=translation.CREDENTIAL_KINDS[kind],
                label=label,
                grace_seconds=grace_seconds,
            )
        answer = self._connection.ask_once(self._stub.RotateCredential, request, credential=self._secret)
        return answers.rotated_credential(answer, asked=kind)

    def _wait_for_jobs(self, request: pb.RequestJobsRequest) -> pb.RequestJobsResponse:
        usual, wait = self._connection.timeout_seconds, request.wait_seconds

        def attempt(left: float) -> pb.RequestJobsResponse:
            request.wait_seconds = min(wait, max(0, math.ceil(left - usual)))
            return self._connection.send(self._stub.RequestJobs, request, timeout_seconds=left)

        return self._connection.repeat(attempt, deadline_seconds=usual + max(0, wait))

    def _offered(self, answer: pb.RequestJobsResponse, *, most: int) -> records.WaitingJobs:
        nothing = pb.RequestJobsResponse.REQUEST_JOBS_NORESULTS
        _expect(answer.status, nothing, pb.RequestJobsResponse.REQUEST_JOBS_SUCCESS)
        return offers.waiting_jobs(answer, cluster=self.cluster, most=most)

    def _submit_batches(self, batches: Iterator[submitting.Batch]) -> Iterator[submitting.Answer]:
        return self._connection.exchange(self._stub.SubmitJobStream, batches, credential=self._token)

    def _watch(self, jobids: Sequence[int]) -> Iterator[records.Job]:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.WatchJobsRequest(cluster=self.cluster, jobids=jobids)
        credential = self._token or self._secret
        stream = self._connection.stream(self._stub.WatchJobs, request, credential=credential)
        return answers.watched(stream, asked=jobids)

    def _look_up(self, jobids: Sequence[int], *, with_events: bool) -> pb.GetJobsResponse:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.GetJobsRequest(cluster=self.cluster, jobids=jobids, with_events=with_events)
        return self._connection.ask(self._stub.GetJobs, request, credential=self._token or self._secret)


def _expect(status: int, *sensible: int) -> None:
    if status not in sensible:
        raise translation.nonsense()
