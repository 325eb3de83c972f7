from django.db import migrations


class Migration(migrations.Migration):
    """Renames the model only; its table keeps the name that servers of earlier releases use."""

    dependencies = [("jobs", "0008_credentials_permission")]

    operations = [
        migrations.AlterModelTable(name="sweep", table="jobs_sweep"),
        migrations.RenameModel(old_name="Sweep", new_name="BulkAction"),
    ]
