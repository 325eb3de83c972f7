"""Adds the index of jobs by those in place of which they were submitted, on PostgreSQL beside servers that write."""

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
        on = "ON jobs_job (resubmission_of, id) WHERE resubmission_of > 0"
        # One that was interrupted leaves an index that is not valid.
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_resubmission")
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY job_resubmission {on}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0035_resubmissions")]
    operations = [
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("resubmission_of__gt", 0)),
                fields=["resubmission_of", "id"],
                name="job_resubmission",
            ),
        ),
    ]
