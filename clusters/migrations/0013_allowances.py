import clusters.models.allowance
import clusters.models.project
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('clusters', '0012_projects'),
    ]

    operations = [
        migrations.AlterField(
            model_name='projectevent',
            name='what',
            field=models.CharField(choices=[('made', 'made'), ('closed', 'closed'), ('reopened', 'reopened'), ('shares', "lets members see each other's jobs"), ('shares_not', "keeps members' jobs apart"), ('member_added', 'took in'), ('role_changed', 'changed the role of'), ('member_removed', 'let go'), ('granted', 'was granted'), ('withdrawn', 'may no longer use'), ('token_made', 'made'), ('token_revoked', 'revoked'), ('limited', 'may have at most')], max_length=14),
        ),
        # Its condition lists what is known, which the autodetector does not compare.
        migrations.RemoveConstraint(model_name='projectevent', name='project_event_is_known'),
        migrations.AddConstraint(
            model_name='projectevent',
            constraint=models.CheckConstraint(condition=models.Q(('what__in', clusters.models.project.ProjectWhat)), name='project_event_is_known'),
        ),
        migrations.CreateModel(
            name='Allowance',
            fields=[
                ('id', models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('person', 'person'), ('project', 'project')], max_length=7)),
                ('holder_id', models.IntegerField()),
                ('waiting', models.BigIntegerField(db_default=0)),
                ('held', models.BigIntegerField(db_default=0)),
                ('held_nodes', models.BigIntegerField(db_default=0)),
                ('submitted', models.BigIntegerField(db_default=0)),
                ('submitted_at', models.BigIntegerField(db_default=0)),
                ('most_waiting', models.IntegerField(null=True)),
                ('most_submissions', models.IntegerField(null=True)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('kind', 'holder_id'), name='one_allowance_each'), models.CheckConstraint(condition=models.Q(('kind__in', clusters.models.allowance.Holder)), name='holder_is_known')],
            },
        ),
    ]
