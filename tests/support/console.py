"""The people of the operators' console."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from clusters.models import FailedAttempts
from clusters.services.throttle import WINDOW

PASSWORD = "only-for-the-tests"
HOME = "192.0.2.1"


def signed_in(
    name: str,
    *groups: str,
    sees_content: bool = False,
    manages_credentials: bool = False,
    permissions: tuple[str, ...] = (),
) -> Client:
    account = User.objects.create_user(name, is_staff=True)
    account.groups.set(Group.objects.filter(name__in=groups))
    own = {"see_content_of_job": sees_content, "manage_credential": manages_credentials}
    given = [*permissions, *(name for name, has in own.items() if has)]
    account.user_permissions.set(Permission.objects.filter(codename__in=given))
    client = Client()
    client.force_login(account)
    return client


def try_password(account: str, password: str, *, address: str = HOME) -> Any:
    client = Client(REMOTE_ADDR=address)
    return client.post("/admin/login/", {"username": account, "password": password})


def window_is_over() -> None:
    for row in FailedAttempts.objects.all():
        FailedAttempts.objects.filter(id=row.id).update(began_at=row.began_at - WINDOW - timedelta(seconds=1))
