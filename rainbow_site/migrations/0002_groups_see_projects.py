"""Lets the groups viewers and operators see projects. To change them takes a permission that neither has."""

from django.db import migrations

GROUPS = ("viewers", "operators")


def let_see(apps, schema_editor):
    permission = _permission(apps)
    for group in _groups(apps):
        group.permissions.add(permission)


def let_see_no_longer(apps, schema_editor):
    permission = _permission(apps)
    for group in _groups(apps):
        group.permissions.remove(permission)


def _groups(apps):
    return apps.get_model("auth", "Group").objects.filter(name__in=GROUPS)


def _permission(apps):
    """Django creates permissions only when all migrations are through; it leaves those alone that are there."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label="clusters", model="project")
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename="view_project", defaults={"name": "Can view project"}
    )
    return permission


class Migration(migrations.Migration):

    dependencies = [
        ("clusters", "0012_projects"),
        ("jobs", "0004_groups"),
        ("rainbow_site", "0001_identities"),
    ]

    operations = [migrations.RunPython(let_see, let_see_no_longer)]
