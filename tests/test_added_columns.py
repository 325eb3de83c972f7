"""New columns: SQLite adds them without a copy of the table, and servers of the release before need not know them."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.storage import JOB_COLUMNS
from jobs.models import Job
from jobs.specs import JobSpec, columns_of
from jobs.sql.statements import insert
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db


@pytest.mark.skipif(connection.vendor != "sqlite", reason="is about SQLite")
@pytest.mark.parametrize("name", ["cores_per_task", "exclusive", "gpu_type", "mounts"])
def test_a_column_with_a_constant_default_is_added_in_place(name: str) -> None:
    # Not entered: it makes a table anew only outside of a transaction, and only if it has to.
    editor = connection.schema_editor(collect_sql=True)
    editor.deferred_sql = []
    editor.add_field(Job, Job._meta.get_field(name))

    (statement,) = editor.collected_sql
    assert statement.startswith(f'ALTER TABLE "jobs_job" ADD COLUMN "{name}"')


def test_a_job_of_a_server_that_knows_no_further_field_says_none_of_them(alpha: Any, now: datetime) -> None:
    submitted(alpha, now=now)
    before = Job.objects.values(*JOB_COLUMNS).get()
    columns = {name: [value] for name, value in before.items() if name not in ("environment", "labels")}

    ((job_id,),) = insert(Job, {**columns, "environment": ["{}"], "labels": ["{}"]}, "RETURNING id")

    job = Job.objects.get(id=job_id)
    assert (job.cores_per_task, job.exclusive, job.account) == (0, False, "")
    assert (job.options_by_cluster, job.mounts, job.needs) == ({}, [], [])


def test_jobs_that_say_no_further_field_name_none_of_their_columns(alpha: Any, now: datetime) -> None:
    plain, full = JobSpec(command="a"), JobSpec(command="a", needs=("gpu", "gpu"))

    with CaptureQueriesContext(connection) as queries:
        submitted(alpha, now=now)

    assert not any("options_by_cluster" in query["sql"] for query in queries)
    assert "needs" not in columns_of([plain])
    assert columns_of([plain, full])["needs"] == ["[]", '["gpu"]']
