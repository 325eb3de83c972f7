"""Noting what was taken from people and credentials, so that calls and jobs that wait end."""

from datetime import datetime, timedelta

from django.contrib.auth.models import User

from clusters.models import Withdrawal

# Servers that stood still for longer admit all their waiting calls anew.
KEEP = timedelta(minutes=2)


def note_withdrawal(
    *, credential_id: int | None = None, person_id: int | None = None, project_id: int | None = None, now: datetime
) -> None:
    """Notes of one of them that it may do less from now on. Call it in the transaction of the change."""
    # A credential that is revoked takes no reach from the jobs that were submitted with it.
    settled_at = now if credential_id else None
    Withdrawal.objects.create(
        at=now, credential_id=credential_id, person_id=person_id, project_id=project_id, settled_at=settled_at
    )


def note_account(account: User, *, now: datetime) -> None:
    """After an account was saved, in the same transaction: whether it may sign in is Django's to say."""
    if not account.is_active:
        note_withdrawal(person_id=account.pk, now=now)


def forget_withdrawals(*, now: datetime) -> None:
    Withdrawal.objects.filter(at__lt=now - KEEP, settled_at__isnull=False).delete()
