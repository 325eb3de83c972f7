"""Snakemake on the clusters of a rainbow server: `snakemake --executor rainbow`."""

import asyncio
import os
import shlex
import uuid
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Optional

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from rainbow.client import Client
from rainbow.config import settings
from rainbow.errors import RainbowError
from rainbow.records import Job
from rainbow.states import JobState
from rainbow.text import printable
from snakemake_executor_plugin_rainbow.specs import FOLDER, MARK, NAMES, NO_MARK, digest, mark_of, spec_of

AT_ONCE = 1_000
OVER = {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}
WAITING = (JobState.BLOCKED, JobState.QUEUED)
GOING_ON = (*WAITING, JobState.ACCEPTED, JobState.RUNNING, JobState.LOST)
# What is shown of a failed job's output.
TAIL_LINES = 30


# Snakemake reads the types of these fields, and knows Optional alone.
@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    cluster: Optional[str] = field(  # noqa: UP045
        default=None, metadata={"help": "The cluster or pool that takes the jobs, in place of the one configured"}
    )
    leave_out: Optional[str] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Resources that the cluster cannot give and is not asked for, with commas between them: "
            + ", ".join(NAMES)
        },
    )


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_envvar_declarations_to_cmd=True,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)


class Executor(RemoteExecutor):
    def __post_init__(self) -> None:
        said = self.workflow.executor_settings
        try:
            known = settings({"cluster": said.cluster} if said.cluster else {})
        except RainbowError as error:
            raise WorkflowError(str(error)) from error
        self.client = Client(known.host, cluster=known.cluster, token=known.token, **known.encryption)
        self.run = uuid.uuid4().hex

    def run_job(self, job: JobExecutorInterface) -> None:
        info = SubmittedJobInfo(job)
        try:
            earlier = self._of_earlier_runs.pop(mark_of(job), None)
            if earlier and not self._is_replaced(earlier):
                self.logger.info(f"Job {job.jobid} is rainbow job {earlier.id} of an earlier run, and goes on.")
                info.external_jobid = str(earlier.id)
            else:
                info.external_jobid = str(self._submitted(job, instead_of=earlier))
        except (RainbowError, ValueError) as error:
            self.report_job_error(info, msg=f"rainbow did not take the job: {error}\n")
            return
        self.report_job_submission(info)

    @cached_property
    def _of_earlier_runs(self) -> dict[str, Job]:
        """The jobs of this folder that are not over, since Snakemake was killed, by their marks."""
        labels = {FOLDER: digest(self._folder)}
        going_on = self.client.list_jobs(states=GOING_ON, labels=labels, page_size=AT_ONCE)
        return {job.labels[MARK]: job for job in going_on if job.labels.get(MARK, NO_MARK) != NO_MARK}

    def _is_replaced(self, earlier: Job) -> bool:
        """With --rerun-incomplete Snakemake has deleted what a job wrote by now. One that waits has written nothing."""
        return self.workflow.dag_settings.force_incomplete and earlier.state not in WAITING

    def _submitted(self, job: JobExecutorInterface, *, instead_of: Job | None) -> int:
        """Two jobs that write the same files never run at once."""
        if instead_of:
            self.client.cancel_jobs([instead_of.id], reason="the workflow runs it again")
        script = self.get_jobscript(job)
        self.write_jobscript(job, script)
        spec = spec_of(
            job,
            command=shlex.quote(script),
            run=self.run,
            folder=self._folder,
            leave_out=self._left_out,
            after=instead_of.id if instead_of else 0,
        )
        jobid = self.client.submit_job(spec).jobid
        self.logger.info(f"Submitted job {job.jobid} as rainbow job {jobid}.")
        return jobid

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo]:
        for part in _parts(active_jobs):
            async with self.status_rate_limiter:
                found = await asyncio.to_thread(self._found, part)
            for info in part:
                if found is None or self._goes_on(info, found.get(int(info.external_jobid))):
                    yield info

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        for part in _parts(active_jobs):
            ids = [int(info.external_jobid) for info in part]
            try:
                self.client.cancel_jobs(ids, reason="the workflow was cancelled")
            except RainbowError as error:
                self.logger.warning(f"rainbow jobs {ids[0]} to {ids[-1]} may go on: {error}")

    def shutdown(self) -> None:
        super().shutdown()
        self.client.close()

    def get_job_exec_prefix(self, job: JobExecutorInterface) -> str:
        return f"cd {shlex.quote(self.workflow.workdir_init)}"

    @property
    def _folder(self) -> str:
        return os.path.realpath(self.workflow.workdir_init)

    @property
    def _left_out(self) -> frozenset[str]:
        return frozenset((self.workflow.executor_settings.leave_out or "").split(","))

    def _found(self, part: list[SubmittedJobInfo]) -> dict[int, Job] | None:
        """None while the server does not answer: its jobs go on."""
        try:
            answer = self.client.get_jobs([int(info.external_jobid) for info in part])
        except RainbowError as error:
            self.logger.warning(f"rainbow does not say how the jobs are, and is asked again: {error}")
            return None
        return {job.id: job for job in answer.jobs}

    def _goes_on(self, info: SubmittedJobInfo, job: Job | None) -> bool:
        """Whether the job is to be looked at again. A lost job may come back, and is not over."""
        if job is not None and job.state not in OVER:
            return True
        if job is not None and job.state == JobState.COMPLETED:
            self.report_job_success(info)
        else:
            self.report_job_error(info, msg=_failure(info, job))
        return False


def _parts(active_jobs: list[SubmittedJobInfo]) -> Iterator[list[SubmittedJobInfo]]:
    for start in range(0, len(active_jobs), AT_ONCE):
        yield active_jobs[start : start + AT_ONCE]


def _failure(info: SubmittedJobInfo, job: Job | None) -> str:
    if job is None:
        return f"rainbow has no job {info.external_jobid} any more.\n"
    code = f", exit code {job.exit_code}" if job.exit_code is not None else ""
    why = f": {job.reason}" if job.reason else ""
    tail = "\n".join(job.output.splitlines()[-TAIL_LINES:])
    return printable(f"rainbow job {job.id} is {job.state.value}{code}{why}\n{tail}\n")
