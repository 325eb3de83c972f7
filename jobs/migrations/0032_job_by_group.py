"""Adds the index of the members of groups, on PostgreSQL beside servers that write."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_INDEX = models.Index(condition=models.Q(("group__gt", 0)), fields=["group", "state", "id"], name="job_by_group")
_ON = 'ON jobs_job ("group", state, id) WHERE "group" > 0'


def add_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        # One that was interrupted leaves an index that is not valid.
        editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_by_group")
        editor.execute(f"CREATE INDEX CONCURRENTLY job_by_group {_ON}")
    else:
        editor.execute(f"CREATE INDEX IF NOT EXISTS job_by_group {_ON}")


def remove_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    how = "CONCURRENTLY " if editor.connection.vendor == "postgresql" else ""
    editor.execute(f"DROP INDEX {how}IF EXISTS job_by_group")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0031_groups")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddIndex(model_name="job", index=_INDEX)],
            database_operations=[migrations.RunPython(add_index, remove_index)],
        )
    ]
