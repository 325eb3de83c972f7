"""Adds the jobs that jobs wait for."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0032_job_by_group")]
    operations = [
        migrations.AddField(model_name="job", name="after", field=models.JSONField(blank=True, db_default=[])),
        migrations.CreateModel(
            name="EndedParent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "job",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="jobs.job"
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="JobDependency",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "wants",
                    models.CharField(
                        choices=[("ok", "completed"), ("any", "ended"), ("failed", "failed")], max_length=6
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="dependencies",
                        to="jobs.job",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="dependents",
                        to="jobs.job",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["parent", "job"], name="dependency_by_parent")],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "parent", "wants"), name="one_dependency_of_a_kind"),
                    models.CheckConstraint(
                        condition=models.Q(("job", models.F("parent")), _negated=True), name="job_waits_for_another"
                    ),
                ],
            },
        ),
    ]
