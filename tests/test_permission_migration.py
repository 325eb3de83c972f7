"""Databases in which operators could act on credentials by their group."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command


@pytest.mark.django_db(transaction=True)
def test_who_was_given_the_permission_by_hand_keeps_it_and_operators_lose_it() -> None:
    Permission.objects.filter(codename="manage_credential").delete()
    Group.objects.get_or_create(name="operators")
    try:
        call_command("migrate", "jobs", "0007", verbosity=0)
        call_command("migrate", "clusters", "0006", verbosity=0)
        old = Permission.objects.get(codename="change_credential")
        ada = User.objects.create_user("ada", is_staff=True)
        ada.user_permissions.add(old)
        mine = Group.objects.create(name="of-our-own")
        mine.permissions.add(old)
        assert Group.objects.filter(name="operators", permissions=old).exists()
    finally:
        call_command("migrate", verbosity=0)

    new = Permission.objects.get(codename="manage_credential")
    assert list(User.objects.filter(user_permissions=new)) == [ada]
    assert list(Group.objects.filter(permissions=new)) == [mine]
    assert not Permission.objects.filter(codename="change_credential").exists()
