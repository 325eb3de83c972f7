"""Two groups of people: operators see and act, viewers see."""

from django.db import migrations

VIEW = [("clusters", "cluster"), ("clusters", "credential"), ("jobs", "job")]


def create_groups(apps, schema_editor):
    views = [_permission(apps, *model, "view") for model in VIEW]
    changes = [_permission(apps, *model, "change") for model in VIEW]
    for name, permissions in (("viewers", views), ("operators", views + changes)):
        group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=name)
        group.permissions.add(*permissions)


def _permission(apps, app_label, model, verb):
    """Django creates permissions only when all migrations are through; it leaves those alone that are there."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=app_label, model=model)
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=f"{verb}_{model}", defaults={"name": f"Can {verb} {model}"}
    )
    return permission


def delete_groups(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=["operators", "viewers"]).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("clusters", "0003_last_bounds"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("jobs", "0003_sweep"),
    ]

    operations = [migrations.RunPython(create_groups, delete_groups)]
