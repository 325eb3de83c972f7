"""Lets PostgreSQL tidy up the jobs' table while the queue's index is still short of dead entries.

By default it waits until a fifth of the rows changed; of ten million jobs two million would have left the queue, and
each look at its head passes over what they left behind.
https://www.postgresql.org/docs/current/runtime-config-autovacuum.html
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_SET = "ALTER TABLE jobs_job SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)"
_RESET = "ALTER TABLE jobs_job RESET (autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor)"


def vacuum_sooner(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(_SET)


def vacuum_as_usual(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(_RESET)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0005_leases")]
    operations = [migrations.RunPython(vacuum_sooner, vacuum_as_usual)]
