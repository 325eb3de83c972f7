"""The people of the operators' room."""

from django.contrib.auth.models import Group, Permission, User
from django.test import Client


def signed_in(name: str, *groups: str, sees_content: bool = False) -> Client:
    account = User.objects.create_user(name, is_staff=True)
    account.groups.set(Group.objects.filter(name__in=groups))
    if sees_content:
        account.user_permissions.add(Permission.objects.get(codename="see_content_of_job"))
    client = Client()
    client.force_login(account)
    return client
