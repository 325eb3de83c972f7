"""Adds indexes of the groups that are not finished, on PostgreSQL beside servers that write.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_COLUMNS = ("cluster", "submitted_by", "owner", "project")
_INDEXES = [
    models.Index(
        condition=models.Q(('finished_at__isnull', True)), fields=[column, 'id'], name=f'group_going_{column}'
    )
    for column in _COLUMNS
]


def add_indexes(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    for column in _COLUMNS:
        name, on = f"group_going_{column}", f"ON jobs_jobgroup ({column}_id, id) WHERE finished_at IS NULL"
        if editor.connection.vendor == "postgresql":
            # One that was interrupted leaves an index that is not valid.
            editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            editor.execute(f"CREATE INDEX CONCURRENTLY {name} {on}")
        else:
            editor.execute(f"CREATE INDEX IF NOT EXISTS {name} {on}")


def remove_indexes(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    how = "CONCURRENTLY " if editor.connection.vendor == "postgresql" else ""
    for column in _COLUMNS:
        editor.execute(f"DROP INDEX {how}IF EXISTS group_going_{column}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0042_webhooks")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddIndex(model_name="jobgroup", index=index) for index in _INDEXES],
            database_operations=[migrations.RunPython(add_indexes, remove_indexes)],
        )
    ]
