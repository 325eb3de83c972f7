"""Adds the groups that jobs wait for."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0039_job_held'),
    ]

    operations = [
        migrations.AddField(
            model_name='jobgroup',
            name='outcome',
            field=models.CharField(blank=True, db_default='', max_length=9),
        ),
        migrations.CreateModel(
            name='EndedGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('group', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='jobs.jobgroup')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='GroupDependency',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wants', models.CharField(choices=[('ok', 'completed'), ('any', 'ended'), ('failed', 'failed')], max_length=6)),
                ('group', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='dependents', to='jobs.jobgroup')),
                ('job', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='jobs.job')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['group', 'job'], name='dependency_by_group')],
                'constraints': [models.UniqueConstraint(fields=('job', 'group', 'wants'), name='one_group_dependency_of_a_kind')],
            },
        ),
    ]
