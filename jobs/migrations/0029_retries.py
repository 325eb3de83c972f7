import django.db.models.deletion
from django.db import migrations, models

from jobs.states import EndCause, What


class Migration(migrations.Migration):
    dependencies = [("clusters", "0016_held_limits"), ("jobs", "0028_wishes")]
    operations = [
        migrations.AddField("job", "retry_most", models.PositiveSmallIntegerField(db_default=0)),
        migrations.AddField("job", "retry_on", models.JSONField(blank=True, db_default=[])),
        migrations.AddField("job", "retries", models.PositiveSmallIntegerField(db_default=0)),
        migrations.AddField("job", "retry_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField("jobevent", "what", models.CharField(choices=What, max_length=16)),
        migrations.CreateModel(
            name="JobAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("attempt", models.IntegerField()),
                ("native_id", models.CharField(blank=True, max_length=255)),
                ("accepted_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField()),
                ("end_cause", models.CharField(blank=True, choices=EndCause, max_length=17)),
                ("exit_code", models.IntegerField(null=True)),
                ("reason", models.TextField(blank=True)),
                (
                    "cluster",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="clusters.cluster",
                    ),
                ),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="jobs.job",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("job", "attempt"), name="one_record_per_attempt")],
            },
        ),
    ]
