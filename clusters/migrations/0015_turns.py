import clusters.models.event
import clusters.models.project
from django.db import migrations, models


def delete_events(apps, schema_editor):
    # Which servers of before do not know, nor do their constraints.
    apps.get_model("clusters", "ClusterEvent").objects.filter(what__in=("turns_begun", "turns_ended")).delete()
    apps.get_model("clusters", "ProjectEvent").objects.filter(what="weighed").delete()


def known(name, choices):
    condition = models.Q(("what__in", choices))
    return models.CheckConstraint(condition=condition, name=name)


class Migration(migrations.Migration):
    dependencies = [("clusters", "0014_withdrawals")]
    operations = [
        migrations.AddField(model_name="cluster", name="fair_turns", field=models.BooleanField(null=True)),
        migrations.AddField(
            model_name="project", name="weight", field=models.PositiveSmallIntegerField(db_default=1, default=1)
        ),
        migrations.RemoveConstraint(model_name="clusterevent", name="cluster_event_is_known"),
        migrations.AlterField(
            model_name="clusterevent",
            name="what",
            field=models.CharField(choices=clusters.models.event.ClusterWhat.choices, max_length=18),
        ),
        migrations.AddConstraint(
            model_name="clusterevent", constraint=known("cluster_event_is_known", clusters.models.event.ClusterWhat.values)
        ),
        migrations.RemoveConstraint(model_name="projectevent", name="project_event_is_known"),
        migrations.AlterField(
            model_name="projectevent",
            name="what",
            field=models.CharField(choices=clusters.models.project.ProjectWhat.choices, max_length=14),
        ),
        migrations.AddConstraint(
            model_name="projectevent", constraint=known("project_event_is_known", clusters.models.project.ProjectWhat)
        ),
        migrations.RunPython(migrations.RunPython.noop, delete_events),
    ]
