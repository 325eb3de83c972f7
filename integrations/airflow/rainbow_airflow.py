"""Airflow tasks that are rainbow jobs: an operator that submits one, and a sensor that waits for one.

Neither occupies a worker while a job waits and runs: the triggerer watches it. The connection (`rainbow_default`)
has the server's host and port, the cluster or pool as its login, a token as its password, and in its extra `tls`,
and `ca_file`, as the client takes them.
"""

from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator, Connection, Context
from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from rainbow import AsyncClient, Client, JobSpec
from rainbow.text import printable

CONNECTION = "rainbow_default"


def options_from(connection: Connection) -> dict[str, Any]:
    tls = {name: value for name, value in connection.extra_dejson.items() if name in ("tls", "ca_file")}
    host = f"{connection.host}:{connection.port or 50051}"
    return {"host": host, "cluster": connection.login or "", "token": connection.password or "", **tls}


def connect(conn_id: str) -> Client:
    return Client(**options_from(BaseHook.get_connection(conn_id)))


async def connect_from_triggerer(conn_id: str) -> AsyncClient:
    return AsyncClient(**options_from(await BaseHook.aget_connection(conn_id)))


class JobTrigger(BaseTrigger):
    """Fires once the job is over. A triggerer that is restarted looks again: nothing is lost."""

    def __init__(self, jobid: int, conn_id: str, *, is_own: bool) -> None:
        super().__init__()
        self.jobid, self.conn_id, self.is_own = jobid, conn_id, is_own

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kept = {"jobid": self.jobid, "conn_id": self.conn_id, "is_own": self.is_own}
        return f"{type(self).__module__}.{type(self).__qualname__}", kept

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with await connect_from_triggerer(self.conn_id) as client:
            async for _ in client.watch_jobs([self.jobid]):
                pass
        yield TriggerEvent(self.jobid)

    async def on_kill(self) -> None:
        """Somebody marked the task, or cleared it: a job of its own goes with it."""
        if self.is_own:
            async with await connect_from_triggerer(self.conn_id) as client:
                await client.cancel_jobs([self.jobid], reason="its task in Airflow was ended")


class _Waiting:
    """What operator and sensor share: to wait in the triggerer, and to make a task of how the job ended."""

    conn_id: str

    def wait_for(self, jobid: int, *, is_own: bool) -> None:
        self.defer(trigger=JobTrigger(jobid, self.conn_id, is_own=is_own), method_name="finish")

    def finish(self, context: Context, event: int) -> int:
        with connect(self.conn_id) as client:
            (job,) = client.get_jobs([event]).jobs
        if job.output:
            self.log.info("job %d wrote:\n%s", job.id, printable(job.output))
        if job.state != "completed":
            raise AirflowException(printable(f"job {job.id} is {job.state}: {job.reason}"))
        return job.id


class RainbowOperator(_Waiting, BaseOperator):
    """Runs `command` as a job, with further fields of rainbow.specs.JobSpec as `spec`; returns the job's id."""

    template_fields = ("command", "spec")

    def __init__(
        self, *, command: str, spec: dict[str, Any] | None = None, conn_id: str = CONNECTION,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.command, self.spec, self.conn_id = command, spec or {}, conn_id

    def execute(self, context: Context) -> None:
        ti = context["ti"]
        # A worker that dies between submission and deferral submits the same job again, not a second one: Airflow makes
        # an id up for each try of a task, which no other try and no other installation has.
        key = f"airflow-{ti.id}"
        with connect(self.conn_id) as client:
            submission = client.submit_job(JobSpec(command=self.command, idempotency_key=key, **self.spec))
        self.log.info("submitted as job %d", submission.jobid)
        self.wait_for(submission.jobid, is_own=True)


class RainbowJobSensor(_Waiting, BaseSensorOperator):
    """Waits for a job that somebody else submitted, and fails if that does."""

    template_fields = ("jobid",)

    def __init__(self, *, jobid: int | str, conn_id: str = CONNECTION, **options: Any) -> None:
        super().__init__(**options)
        self.jobid, self.conn_id = jobid, conn_id

    def execute(self, context: Context) -> None:
        self.wait_for(int(self.jobid), is_own=False)
