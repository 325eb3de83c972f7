"""Letting persons in, and keeping them out."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import transaction

from clusters.services.projects import Change
from clusters.services.withdrawals import note_account
from clusters.validation import check_reason
from rainbow.errors import FailedPrecondition, NotFound, PermissionDenied

CHANGE_PEOPLE = "auth.change_user"


@transaction.atomic
def set_active(*, person_id: int, active: bool, change: Change) -> bool:
    """Lets a person in, or keeps them out: from the next request on neither their sessions nor their tokens work.

    Whether that changed anything. Raises NotFound, FailedPrecondition for oneself, and PermissionDenied, also where no
    superuser changes a superuser.
    """
    check_reason(change.reason)
    person = User.objects.select_for_update(no_key=True).filter(id=person_id).first()
    if person is None:
        raise NotFound("there is no such person")
    _check_may_change(person, change)
    if person.is_active == active:
        return False
    person.is_active = active
    person.save(update_fields=["is_active"])
    note_account(person, now=change.now)
    said = f"{'let in' if active else 'disabled'}: {change.reason}"
    if change.by:
        LogEntry.objects.log_actions(
            user_id=change.by.user_id, queryset=[person], action_flag=CHANGE, change_message=said
        )
    return True


def _check_may_change(person: User, change: Change) -> None:
    if change.by is None:
        return
    if change.by.user_id == person.pk:
        raise FailedPrecondition("another operator has to disable you")
    by = User.objects.filter(id=change.by.user_id, is_active=True, is_staff=True).first()
    if by is None or not by.has_perm(CHANGE_PEOPLE) or (person.is_superuser and not by.is_superuser):
        raise PermissionDenied("the permission to change accounts is required, and a superuser to change one")
