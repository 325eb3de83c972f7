"""Adds the state blocked, on PostgreSQL beside servers that write.

There a constraint is replaced by one that is NOT VALID at first, and the index is made CONCURRENTLY:
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
Each step may be repeated after an interruption.
"""

from typing import Any

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_STATES = ["blocked", "queued", "accepted", "running", "completed", "failed", "cancelled", "lost"]
_KNOWN = f"state IN ({', '.join(repr(state) for state in _STATES)})"
_SOMETHING = "state <> 'blocked' OR unmet > 0 OR held_by_group"
_COLUMNS = {"unmet": "integer DEFAULT 0 NOT NULL CHECK (unmet >= 0)", "held_by_group": "boolean DEFAULT false NOT NULL"}


class AddColumn(migrations.AddField):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute(f"ALTER TABLE jobs_job ADD COLUMN IF NOT EXISTS {self.name} {_COLUMNS[self.name]}")


class RemoveConstraintOnSQLite(migrations.RemoveConstraint):
    """On PostgreSQL the step that follows replaces it."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class AddCheckBesideWriters(migrations.AddConstraint):
    def __init__(self, model_name: str, constraint: models.CheckConstraint, check: str) -> None:
        super().__init__(model_name, constraint)
        self.check = check

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        return name, args, {**kwargs, "check": self.check}

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        table, name = f"jobs_{self.model_name}", self.constraint.name
        schema_editor.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} CHECK ({self.check}) NOT VALID"
        )
        schema_editor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


class AddIndexBesideWriters(migrations.AddIndex):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        on = "ON jobs_job (expires_at) WHERE state = 'blocked' AND expires_at IS NOT NULL"
        # One that was interrupted leaves an index that is not valid.
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_blocked_expires")
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY job_blocked_expires {on}")


def forget_blocked(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Servers of before do not know the state, nor does their constraint."""
    if apps.get_model("jobs", "Job").objects.filter(state="blocked").exists():
        raise RuntimeError("some jobs are blocked, which releases of before do not know: cancel them first")
    events = apps.get_model("jobs", "JobEvent").objects
    events.filter(what="released").delete()
    events.filter(state="blocked").update(state="queued")
    apps.get_model("jobs", "JobCount").objects.filter(state="blocked").delete()


def state() -> models.CharField:
    return models.CharField(choices=[(state, state) for state in _STATES], max_length=9)


def known(name: str) -> models.CheckConstraint:
    return models.CheckConstraint(condition=models.Q(("state__in", _STATES)), name=name)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("clusters", "0016_held_limits"), ("jobs", "0024_turns")]
    operations = [
        RemoveConstraintOnSQLite(model_name="job", name="job_state_is_known"),
        RemoveConstraintOnSQLite(model_name="jobevent", name="event_state_is_known"),
        AddColumn(model_name="job", name="held_by_group", field=models.BooleanField(db_default=False)),
        AddColumn(model_name="job", name="unmet", field=models.PositiveIntegerField(db_default=0)),
        migrations.AlterField(model_name="job", name="state", field=state()),
        migrations.AlterField(model_name="jobcount", name="state", field=state()),
        migrations.AlterField(model_name="jobevent", name="state", field=state()),
        migrations.AlterField(
            model_name="jobevent",
            name="what",
            field=models.CharField(
                choices=[
                    ("submitted", "submitted"),
                    ("released", "released into the queue"),
                    ("accepted", "accepted"),
                    ("started", "started"),
                    ("ended", "ended"),
                    ("cancel_requested", "cancel requested"),
                    ("cancelled", "cancelled"),
                    ("lost", "lost"),
                    ("found", "found again"),
                    ("requeued", "requeued"),
                    ("priority_changed", "priority changed"),
                    ("moved", "moved to another cluster"),
                    ("expired", "expired while it waited"),
                ],
                max_length=16,
            ),
        ),
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("expires_at__isnull", False), ("state", "blocked")),
                fields=["expires_at"],
                name="job_blocked_expires",
            ),
        ),
        AddCheckBesideWriters("job", known("job_state_is_known"), _KNOWN),
        AddCheckBesideWriters(
            "job",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "blocked"), _negated=True),
                    ("unmet__gt", 0),
                    ("held_by_group", True),
                    _connector="OR",
                ),
                name="blocked_by_something",
            ),
            _SOMETHING,
        ),
        AddCheckBesideWriters("jobevent", known("event_state_is_known"), _KNOWN),
        migrations.RunPython(migrations.RunPython.noop, forget_blocked),
    ]
