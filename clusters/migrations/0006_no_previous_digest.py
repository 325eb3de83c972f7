from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0005_former_values"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="credential", name="previous_value_expires"),
        migrations.RemoveField(model_name="credential", name="previous_digest"),
    ]
