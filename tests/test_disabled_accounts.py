"""Disabling a person in the console."""

from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from clusters.callers import Holder, Operator
from clusters.queries.withdrawals import withdrawn_since
from clusters.services.withdrawals import KEEP, forget_withdrawals, note_withdrawal

pytestmark = pytest.mark.django_db
ACCOUNT = {"username": "alice", "date_joined_0": "2026-11-01", "date_joined_1": "12:00:00"}


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_it_is_noted_for_the_calls_that_wait(root: Client, alice: Operator) -> None:
    answer = root.post(f"/admin/auth/user/{alice.user_id}/change/", ACCOUNT)

    assert answer.status_code == 302, answer.content.decode()
    assert not User.objects.get(id=alice.user_id).is_active
    assert withdrawn_since(seen=set()).holders == {Holder("person", alice.user_id)}


def test_other_changes_are_not(root: Client, alice: Operator) -> None:
    root.post(f"/admin/auth/user/{alice.user_id}/change/", {**ACCOUNT, "is_active": "on", "first_name": "Alice"})

    assert User.objects.get(id=alice.user_id).first_name == "Alice"
    assert not withdrawn_since(seen=set()).ids


def test_a_note_is_read_once_and_forgotten_later(alice: Operator, now: datetime) -> None:
    note_withdrawal(person_id=alice.user_id, now=now)
    first = withdrawn_since(seen=set())

    assert withdrawn_since(seen=first.ids).holders == frozenset()
    forget_withdrawals(now=now + 2 * KEEP)
    # Its jobs were not looked at yet.
    assert withdrawn_since(seen=set()).ids == first.ids
