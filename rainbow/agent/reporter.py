"""Reports to the server how jobs go, and learns which to stop."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate

from rainbow.agent.context import AgentContext, Checkpoint
from rainbow.agent.held_job import HeldJob
from rainbow.agent.held_jobs import HeldJobs
from rainbow.agent.job_reports import in_one_line, report_of
from rainbow.agent.states import Desired, Stage
from rainbow.errors import InvalidArgument
from rainbow.executors.executor import SchedulerSilent
from rainbow.facts import Facts
from rainbow.records import FINAL_STATES, JobFile, JobState, OutputFiles
from rainbow.reports import JobReport, ReportOutcome, ReportResult
from rainbow.telemetry.failures import told
from rainbow.telemetry.lines import Line

# Below gRPC's 4 MiB for a message.
MOST_REPORTS = 500
MOST_BYTES = 2 * 1024 * 1024
# Of the files of a job that has ended, as the server takes them.
MOST_FILES, MOST_NAMES_BYTES = 1_000, 64 * 1024
# What a size takes beside a name, at most.
SIZE_BYTES = 20

Outgoing = tuple[HeldJob, JobReport]

_log = logging.getLogger("rainbow.agent")


class Reporter:
    """`not_ready` is why the agent takes no jobs now; the next report says it. `is_wanted`: the server wants something
    that waits for the next round.
    """

    def __init__(self, context: AgentContext, held_jobs: HeldJobs) -> None:
        self._context = context
        self._held_jobs = held_jobs
        self._said_not_ready: str | None = None
        self.not_ready = ""
        self.is_wanted: Callable[[], bool] = lambda: False

    @property
    def outstanding(self) -> int:
        """Jobs of which the server does not know yet how they go."""
        return sum(held.desired is not Desired.ABANDON and _is_news(held) for held in self._held_jobs)

    def step(self) -> bool:
        if done := [held for held in self._held_jobs.index.unwanted() if held.is_done]:
            self._held_jobs.let_go(done)
        due = self._due()
        if not due and self.not_ready == (self._said_not_ready or ""):
            return False
        # The outputs of one batch at a time: those of ten thousand jobs take more than a gigabyte.
        for batch in _batches(self._in_time(due)):
            self._send(batch)
        return True

    def _in_time(self, due: Sequence[HeldJob]) -> Iterator[Outgoing]:
        """Those whose files are listed come last, one at least, and until the next heartbeat is due; the others are for
        the next round. A job may have made it take seconds.
        """
        until = self._context.clock() + self._context.settings.heartbeat
        for held in sorted(due, key=_lists_files):
            yield self._with_output(held)
            if _lists_files(held) and self._context.clock() >= until:
                break

    def _due(self) -> list[HeldJob]:
        now, heartbeat = self._context.clock(), self._context.settings.heartbeat
        due = []
        for held in self._held_jobs.index.news(now - heartbeat):
            if _is_due(held, now, heartbeat):
                due.append(held)
            else:
                self._held_jobs.index.no_news(held)
        return due

    def is_late(self) -> bool:
        """Whether a heartbeat is due, or the server wants something: long work makes way for it."""
        if self.is_wanted():
            return True
        now, heartbeat = self._context.clock(), self._context.settings.heartbeat
        return any(_heart_beats(held, now, heartbeat) for held in self._held_jobs.index.news(now - heartbeat))

    def _with_output(self, held: HeldJob) -> Outgoing:
        report = report_of(held)
        ended = report.state in FINAL_STATES and bool(held.entry.native_id)
        output = self._output(held) if ended or report.state == JobState.RUNNING else ""
        files = self._output_files(held) if _lists_files(held) else None
        return held, replace(report, output=output, output_files=files)

    def _output(self, held: HeldJob) -> str:
        try:
            return self._context.executor.output(held.entry.ticket)
        except SchedulerSilent as silence:
            words = silence.message
        except (OSError, ValueError) as error:
            words = told(error)
        _log.warning(Line("cannot read the output", job=held.entry.jobid, error=words))
        return ""

    def _output_files(self, held: HeldJob) -> OutputFiles | None:
        """What the job left, as far as the server takes it. What is in its folder is the job's doing."""
        try:
            listed = self._context.executor.files(held.entry.ticket, held.entry.work.outputs, most=MOST_FILES)
        except (SchedulerSilent, OSError, ValueError) as error:
            _log.warning(Line("cannot list the files", job=held.entry.jobid, error=told(error)))
            return None
        sizes = accumulate(len(name.encode()) for name, _ in listed.files)
        fitting = [file for file, size in zip(listed.files, sizes, strict=True) if size <= MOST_NAMES_BYTES]
        files = tuple(JobFile(name=name, size=size) for name, size in fitting)
        return OutputFiles(files=files, more=listed.more or len(fitting) < len(listed.files))

    def _send(self, batch: Sequence[Outgoing]) -> None:
        sent_at = self._context.clock()
        try:
            results = self._call([report for _, report in batch])
        except InvalidArgument as error:
            self._send_apart(batch, error)
            return
        done = [
            held
            for (held, report), result in zip(batch, results, strict=True)
            if self._answered(held, replace(report, output="", output_files=None), result, sent_at)
        ]
        if done:
            self._held_jobs.let_go(done)

    def tell(self, facts: Facts) -> None:
        """In a report of its own, so that facts which the server refuses keep back no job's. Raises InvalidArgument."""
        self._call([], facts=facts)

    def _call(self, reports: Sequence[JobReport], *, facts: Facts | None = None) -> Sequence[ReportResult]:
        settings = self._context.settings
        results = self._context.client.report_jobs(
            reports,
            agent=settings.agent,
            lease_seconds=settings.lease_seconds,
            not_ready="" if settings.only_mine else in_one_line(self.not_ready),
            hold_after=settings.hold_after,
            facts=facts,
        )
        self._said_not_ready = self.not_ready
        return results

    def _send_apart(self, batch: Sequence[Outgoing], error: InvalidArgument) -> None:
        """A report that the server cannot take holds up no other, and is sent again without its words."""
        if not batch:
            raise error
        if len(batch) > 1:
            for one in batch:
                self._send([one])
            return
        held, report = batch[0]
        plain = replace(
            report, reason=f"its report could not be sent: {error}", output="", output_files=None, native_id=held.key
        )
        _log.error(Line("report refused", job=report.jobid, error=error, request_id=error.request_id))
        if report == plain:
            held.renewed_at = self._context.clock()
            return
        self._send([(held, plain)])

    def _answered(self, held: HeldJob, report: JobReport, result: ReportResult, sent_at: datetime) -> bool:
        """Whether the job is done with."""
        held.renewed_at = sent_at
        if result.outcome in (ReportOutcome.STALE, ReportOutcome.UNKNOWN):
            return self._abandoned(held, report, result)
        held.last_report, held.last_looks = report_of(held), held.looks
        if held.stage is Stage.PREPARED:
            held.move(Stage.ANNOUNCED)
        if result.cancel:
            held.to_be_cancelled()
        if moment := _moment(report, held):
            self._context.checkpoint(moment)
        return report.state in FINAL_STATES

    def _abandoned(self, held: HeldJob, report: JobReport, result: ReportResult) -> bool:
        _log.warning(Line("abandoning", job=report.jobid, attempt=report.attempt, outcome=result.outcome))
        held.to_be_abandoned()
        return held.is_done


def _lists_files(held: HeldJob) -> bool:
    return held.is_over and bool(held.entry.native_id and held.entry.work.outputs)


def _is_due(held: HeldJob, now: datetime, heartbeat: timedelta) -> bool:
    if held.desired is Desired.ABANDON:
        return False
    return _heart_beats(held, now, heartbeat) or _is_news(held)


def _heart_beats(held: HeldJob, now: datetime, heartbeat: timedelta) -> bool:
    return held.renewed_at is None or now - held.renewed_at >= heartbeat


def _is_news(held: HeldJob) -> bool:
    """Makes no report of a job that did not change: an agent may hold ten thousand."""
    return held.looks != held.last_looks and report_of(held) != held.last_report


def _moment(report: JobReport, held: HeldJob) -> Checkpoint | None:
    if report.state in FINAL_STATES:
        return Checkpoint.ENDED_REPORTED
    if report.state == JobState.RUNNING:
        return Checkpoint.STARTED_REPORTED
    if not report.native_id:
        return None
    return Checkpoint.SUBMITTED_REPORTED if held.entry.native_id else Checkpoint.ANNOUNCED


def _batches(reports: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """At least one batch: an empty call still says `not_ready`."""
    batch: list[Outgoing] = []
    size = 0
    for held, report in reports:
        weight = len(report.output.encode()) + len(report.reason.encode()) + _bytes_of_files(report) + 1000
        if batch and (len(batch) >= MOST_REPORTS or size + weight > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((held, report))
        size += weight
    yield batch


def _bytes_of_files(report: JobReport) -> int:
    files = report.output_files.files if report.output_files else ()
    return sum(len(file.name.encode()) + SIZE_BYTES for file in files)
