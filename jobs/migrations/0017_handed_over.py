"""Adds the index of jobs that were handed over for good, on PostgreSQL beside servers that write.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_INDEX = models.Index(
    condition=models.Q(('agent', ''), ('state', 'accepted')), fields=['accepted_at'], name='job_handed_over'
)
_ON = "ON jobs_job (accepted_at) WHERE agent = '' AND state = 'accepted'"


def add_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        # One that was interrupted leaves an index that is not valid.
        editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_handed_over")
        editor.execute(f"CREATE INDEX CONCURRENTLY job_handed_over {_ON}")
    else:
        editor.execute(f"CREATE INDEX IF NOT EXISTS job_handed_over {_ON}")


def remove_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    how = "CONCURRENTLY " if editor.connection.vendor == "postgresql" else ""
    editor.execute(f"DROP INDEX {how}IF EXISTS job_handed_over")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("jobs", "0016_retention_lease")]
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddIndex(model_name="job", index=_INDEX)],
            database_operations=[migrations.RunPython(add_index, remove_index)],
        )
    ]
