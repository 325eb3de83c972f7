"""Adds the index of jobs that are tried again by the time at which that is due, on PostgreSQL beside servers that write."""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class AddIndexBesideWriters(migrations.AddIndex):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        on = "ON jobs_job (retry_at) WHERE state = 'blocked' AND retry_at IS NOT NULL"
        # One that was interrupted leaves an index that is not valid.
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_retry")
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY job_retry {on}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0029_retries")]
    operations = [
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("retry_at__isnull", False), ("state", "blocked")),
                fields=["retry_at"],
                name="job_retry",
            ),
        ),
    ]
