"""Looking up, watching and cancelling jobs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from rainbow import answers, output_stream, records, rules, translation, watch_stream
from rainbow.call_log import Metadata
from rainbow.client_session import ClientSession
from rainbow.connection import metadata_of
from rainbow.protos import rainbow_pb2 as pb

IDS_PER_LOOKUP = 1000
FIRST_OUTPUT_SECONDS = 20.0


class JobCalls(ClientSession):
    def watch_jobs(self, jobids: Sequence[int], *, first_seconds: float = 0) -> Iterator[records.Job]:
        """Up to 1,000 jobs as they are now, and again at each step, until all are over.

        They come without environment, output and events. When the stream breaks, it is opened again; raises
        Unavailable when the server stays away for 5 minutes, or at the beginning for `first_seconds`, which is the
        timeout unless said.
        """
        first = first_seconds or self._connection.timeout_seconds
        watch = partial(self._watch, metadata=metadata_of(self._token or self._secret))
        return watch_stream.follow(watch, jobids, retries=self._retries, first_seconds=first)

    def get_jobs(self, jobids: Sequence[int], *, with_events: bool = False) -> records.FoundJobs:
        """Look up any number of jobs, in full."""
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
        group: int = 0,
        page_size: int = 0,
    ) -> Iterator[records.Job]:
        """Every job that fits, newest first. Pages are fetched as they are needed."""
        states, token, before, more = tuple(states), "", rules.MAX_INT + 1, True
        while more:
            answer = self._list(
                states=states, labels=labels, name=name, group=group, page_size=page_size, page_token=token
            )
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
        group: int = 0,
        page_size: int = 0,
        page_token: str = "",
    ) -> records.JobPage:
        """One page of 1 to 1,000 jobs; a `page_size` of 0 means 100."""
        answer = self._list(
            states=states, labels=labels, name=name, group=group, page_size=page_size, page_token=page_token
        )
        return answers.page(answer, before=rules.MAX_INT + 1)

    def _list(
        self,
        *,
        states: Iterable[records.JobState],
        labels: Mapping[str, str] | None,
        name: str,
        group: int,
        page_size: int,
        page_token: str,
    ) -> pb.ListJobsResponse:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ListJobsRequest(
                cluster=self.cluster,
                states=[translation.JOB_STATES[state] for state in states],
                labels=labels,
                name=name,
                group=group,
                page_size=page_size,
                page_token=page_token,
            )
        return self._connection.ask(self._stub.ListJobs, request, credential=self._token or self._secret)

    def cancel_jobs(self, jobids: Sequence[int], *, reason: str = "") -> tuple[records.CancelResult, ...]:
        """Stop 1 to 10,000 jobs.

        If an answer was lost, a job that this call cancelled may read ALREADY_FINAL.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.CancelJobsRequest(cluster=self.cluster, jobids=jobids, reason=reason)
        answer = self._connection.ask(self._stub.CancelJobs, request, credential=self._token or self._secret)
        return answers.cancel_results(answer, asked=jobids)

    def read_output(
        self, jobid: int, *, stderr: bool = False, from_byte: int = 0, follow: bool = False
    ) -> Iterator[records.OutputPart]:
        """What the job wrote from that byte on, streamed from its site; with `follow` until the job is over.

        A stream that breaks is opened again where it broke; raises Unavailable when that fails for 5 minutes.
        FailedPrecondition where the site does not send it: its agent is away or of an earlier release, or it keeps the
        output no longer. Then the job's `output` has the end of it.
        """
        read = partial(self._read_output, jobid, stderr=stderr, follow=follow)
        first = self._connection.timeout_seconds
        return output_stream.follow(read, from_byte, retries=self._retries, first_seconds=first)

    def list_files(self, jobid: int) -> tuple[records.JobFile, ...]:
        """What is in the job's folder of files at its site, of a job with inputs or outputs; up to 10,000.

        Raises as `read_output`.
        """
        read = partial(self._read_source, jobid, source=pb.OUTPUT_SOURCE_LISTING)
        first = self._connection.timeout_seconds
        listing = b""
        for part in output_stream.follow(read, 0, retries=self._retries, first_seconds=first):
            listing = answers.listing_so_far(listing, part.data)
        return answers.job_files(listing)

    def read_file(self, jobid: int, name: str) -> Iterator[bytes]:
        """One of these files, streamed from the site. Raises as `read_output`."""
        read = partial(self._read_source, jobid, source=pb.OUTPUT_SOURCE_FILE, file=name)
        first = self._connection.timeout_seconds
        for part in output_stream.follow(read, 0, retries=self._retries, first_seconds=first):
            yield part.data

    def _read_output(self, jobid: int, from_byte: int, *, stderr: bool, follow: bool) -> Iterator[records.OutputPart]:
        source = pb.OUTPUT_SOURCE_STDERR if stderr else pb.OUTPUT_SOURCE_STDOUT
        return self._read_source(jobid, from_byte, source=source, follow=follow)

    def _read_source(
        self,
        jobid: int,
        from_byte: int,
        *,
        source: pb.OutputSource.ValueType,
        follow: bool = False,
        file: str = "",
    ) -> Iterator[records.OutputPart]:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ReadOutputRequest(
                cluster=self.cluster, jobid=jobid, source=source, from_byte=from_byte, follow=follow, file=file
            )
        metadata = metadata_of(self._token or self._secret)
        # An agent has ten seconds for the first answer.
        offset = from_byte
        for answer in self._connection.stream(
            self._stub.ReadOutput, request, metadata=metadata, first_seconds=FIRST_OUTPUT_SECONDS
        ):
            yield answers.output_part(answer, offset=offset)
            offset += len(answer.data)

    def signal_jobs(self, jobids: Sequence[int], signal: str) -> tuple[records.SignalResult, ...]:
        """Send a signal, such as USR1, to 1 to 1,000 running jobs, by their clusters' agents.

        The event `signalled` of a job says when it was sent. If an answer was lost, it may be sent twice.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.SignalJobsRequest(cluster=self.cluster, jobids=jobids, signal=signal)
        answer = self._connection.ask_once(self._stub.SignalJobs, request, credential=self._token or self._secret)
        return answers.signal_results(answer, asked=jobids)

    def summarize_jobs(self) -> records.Summary:
        """Count the cluster's jobs in each state."""
        request = pb.SummarizeJobsRequest(cluster=self.cluster)
        credential = self._token or self._secret
        return translation.summary(self._connection.ask(self._stub.SummarizeJobs, request, credential=credential))

    def _watch(self, jobids: Sequence[int], *, metadata: Metadata) -> Iterator[records.Job]:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.WatchJobsRequest(cluster=self.cluster, jobids=jobids)
        asked = set(jobids)
        for answer in self._connection.stream(self._stub.WatchJobs, request, metadata=metadata):
            yield answers.watched(answer, asked=asked)

    def _look_up(self, jobids: Sequence[int], *, with_events: bool) -> pb.GetJobsResponse:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.GetJobsRequest(cluster=self.cluster, jobids=jobids, with_events=with_events)
        return self._connection.ask(self._stub.GetJobs, request, credential=self._token or self._secret)
