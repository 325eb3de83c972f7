"""Adds turns to the order of waiting jobs, on PostgreSQL beside servers that write.

There the index is made CONCURRENTLY before the one that it replaces goes. Each step may be repeated after an interruption.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class AddIndexBesideWriters(migrations.AddIndex):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        on = "ON jobs_job (queue_id, priority DESC, turn, id) WHERE state = 'queued'"
        # One that was interrupted leaves an index that is not valid.
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_by_turn")
        schema_editor.execute(f"CREATE INDEX CONCURRENTLY job_by_turn {on}")


class RemoveIndexBesideWriters(migrations.RemoveIndex):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS job_by_queue")


class AddColumn(migrations.AddField):
    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute("ALTER TABLE jobs_job ADD COLUMN IF NOT EXISTS turn bigint DEFAULT 0 NOT NULL")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("clusters", "0015_turns"), ("jobs", "0023_usage")]
    operations = [
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("priority", models.SmallIntegerField()),
                ("party", models.CharField(max_length=32)),
                ("turn", models.BigIntegerField()),
                ("raised_by", models.BigIntegerField()),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="clusters.cluster",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("cluster", "priority", "party"), name="one_turn_per_party")
                ],
            },
        ),
        AddColumn(model_name="job", name="turn", field=models.BigIntegerField(db_default=0)),
        AddIndexBesideWriters(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "queued")),
                fields=["queue", "-priority", "turn", "id"],
                name="job_by_turn",
            ),
        ),
        RemoveIndexBesideWriters(model_name="job", name="job_by_queue"),
    ]
