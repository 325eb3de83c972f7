"""Acting on credentials takes a permission of its own, which operators no longer have by their group.

Whoever can make a secret can read, with it, what jobs run. Accounts and groups that were given the permission by hand
keep it under its new name.
"""

from django.db import migrations

OLD = ("change_credential", "Can change credential")
NEW = ("manage_credential", "Can make, rotate and revoke credentials, and so act for clusters")


def rename(apps, old, new):
    """Moves what has been granted to the new name, where that is known already, too."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="clusters", model="credential"
    )
    permissions = apps.get_model("auth", "Permission").objects
    permission, _ = permissions.get_or_create(content_type=kind, codename=new[0], defaults={"name": new[1]})
    for former in permissions.filter(content_type=kind, codename=old[0]):
        permission.group_set.add(*former.group_set.all())
        permission.user_set.add(*former.user_set.all())
        former.delete()
    return permission


def take_from_operators(apps, schema_editor):
    rename(apps, OLD, NEW).group_set.remove(*_operators(apps))


def give_back_to_operators(apps, schema_editor):
    rename(apps, NEW, OLD).group_set.add(*_operators(apps))


def _operators(apps):
    return apps.get_model("auth", "Group").objects.filter(name="operators")


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0007_events"),
        ("jobs", "0007_holds"),
    ]

    operations = [migrations.RunPython(take_from_operators, give_back_to_operators)]
