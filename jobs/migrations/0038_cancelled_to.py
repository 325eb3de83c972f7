"""Notes how far the cancelling of a group's members has come."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0037_inputs")]
    operations = [
        migrations.AddField(model_name="jobgroup", name="cancelled_to", field=models.IntegerField(null=True))
    ]
