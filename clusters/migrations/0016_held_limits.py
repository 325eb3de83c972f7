from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clusters", "0015_turns")]
    operations = [
        migrations.AddField(model_name="allowance", name=name, field=models.IntegerField(null=True))
        for name in ("most_held", "most_held_nodes")
    ]
