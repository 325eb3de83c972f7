import django.db.models.deletion
from django.db import migrations, models

KEEP = """
    INSERT INTO clusters_formervalue (credential_id, digest, expires_at)
    SELECT id, previous_digest, previous_expires_at FROM clusters_credential WHERE previous_digest IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0004_not_ready"),
    ]

    operations = [
        migrations.CreateModel(
            name="FormerValue",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("expires_at", models.DateTimeField()),
                (
                    "credential",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="former_values",
                        to="clusters.credential",
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
        # Migrating back ends the values that were replaced.
        migrations.RunSQL(KEEP, migrations.RunSQL.noop),
    ]
