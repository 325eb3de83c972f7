from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0015_expires_at'),
    ]

    operations = [
        migrations.CreateModel(
            name='RetentionLease',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('holder', models.CharField(blank=True, default='', max_length=36)),
                ('held_until', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddConstraint(
            model_name='retentionlease',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='one_retention_lease'),
        ),
    ]
