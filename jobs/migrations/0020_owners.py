"""Adds whose a job is and its project, on PostgreSQL beside servers that write.

There the constraints are first NOT VALID, and the indexes are made CONCURRENTLY:
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
Each step may be repeated after an interruption.
"""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_TABLES = {"owner": "auth_user", "project": "clusters_project"}


class AddReference(migrations.AddField):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        constraint = f"job_has_{self.name}"
        key = f"FOREIGN KEY ({self.name}_id) REFERENCES {_TABLES[self.name]} (id) DEFERRABLE INITIALLY DEFERRED"
        schema_editor.execute(f"ALTER TABLE jobs_job ADD COLUMN IF NOT EXISTS {self.name}_id integer NULL")
        schema_editor.execute(f"ALTER TABLE jobs_job DROP CONSTRAINT IF EXISTS {constraint}")
        schema_editor.execute(f"ALTER TABLE jobs_job ADD CONSTRAINT {constraint} {key} NOT VALID")
        schema_editor.execute(f"ALTER TABLE jobs_job VALIDATE CONSTRAINT {constraint}")


class AddIndexBesideWriters(migrations.AddIndex):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        column = f"{self.index.fields[0]}_id"
        on = f"ON jobs_job ({column}, state, id) WHERE {column} IS NOT NULL"
        # One that was interrupted leaves an index that is not valid.
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.index.name}")
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY {self.index.name} {on}")


def reference(to: str) -> Any:
    """Without an index of its own: job_by_owner and job_by_project begin with it."""
    return models.ForeignKey(
        db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=to
    )


def index_by(name: str) -> models.Index:
    there = models.Q((f"{name}__isnull", False))
    return models.Index(condition=there, fields=[name, "state", "id"], name=f"job_by_{name}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("clusters", "0012_projects"),
        ("jobs", "0019_traceparent"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        AddReference(model_name="job", name="owner", field=reference(settings.AUTH_USER_MODEL)),
        AddReference(model_name="job", name="project", field=reference("clusters.project")),
        AddIndexBesideWriters(model_name="job", index=index_by("owner")),
        AddIndexBesideWriters(model_name="job", index=index_by("project")),
    ]
