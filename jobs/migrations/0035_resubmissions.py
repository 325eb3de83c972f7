from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0034_relays")]
    operations = [migrations.AddField("job", "resubmission_of", models.PositiveIntegerField(db_default=0))]
