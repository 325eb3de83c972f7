"""Adds the index of the blocked members of groups, on PostgreSQL beside servers that write."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_INDEX = models.Index(
    condition=models.Q(("group__gt", 0), ("state", "blocked")),
    fields=["group", "held_by_group", "unmet", "id"],
    name="job_held",
)
_ON = """ON jobs_job ("group", held_by_group, unmet, id) WHERE "group" > 0 AND state = 'blocked'"""


def add_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        # One that was interrupted leaves an index that is not valid.
        editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_held")
        editor.execute(f"CREATE INDEX CONCURRENTLY job_held {_ON}")
    else:
        editor.execute(f"CREATE INDEX IF NOT EXISTS job_held {_ON}")


def remove_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    how = "CONCURRENTLY " if editor.connection.vendor == "postgresql" else ""
    editor.execute(f"DROP INDEX {how}IF EXISTS job_held")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0038_cancelled_to")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddIndex(model_name="job", index=_INDEX)],
            database_operations=[migrations.RunPython(add_index, remove_index)],
        )
    ]
