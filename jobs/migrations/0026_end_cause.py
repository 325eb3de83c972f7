from django.db import migrations, models

from jobs.states import EndCause


class Migration(migrations.Migration):
    dependencies = [("jobs", "0025_blocked")]
    operations = [
        migrations.AddField(
            model_name="job",
            name="end_cause",
            field=models.CharField(blank=True, choices=EndCause, db_default="", max_length=17),
        ),
    ]
