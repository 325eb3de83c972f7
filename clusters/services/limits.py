"""Setting the limits of persons and projects."""

from collections.abc import Mapping

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from clusters.limits import LIMITS, SAYS
from clusters.models import Allowance, Holder, ProjectWhat
from clusters.services.projects import NO_PERSON, Change, check_operates, locked_project, note
from clusters.validation import check_range, check_reason
from clusters.visible import quoted
from rainbow.errors import InvalidArgument, NotFound

# None is the default of the settings, and 0 no limit.
Wanted = Mapping[str, int | None]


@transaction.atomic
def limit_project(*, project_id: int, wanted: Wanted, change: Change) -> bool:
    """Sets the limits that are named; whether that changed anything.

    Raises InvalidArgument, NotFound, and PermissionDenied for who is no operator of projects.
    """
    check_operates(change)
    _check(wanted)
    project = locked_project(project_id, change)
    if not _set(Holder.PROJECT, project_id, wanted):
        return False
    note(ProjectWhat.LIMITED, project, change, about=_said(wanted))
    return True


@transaction.atomic
def limit_person(*, person: str, wanted: Wanted, change: Change) -> bool:
    """The same of a person, by user name."""
    check_operates(change)
    _check(wanted)
    check_reason(change.reason)
    return _set(Holder.PERSON, person_named(person).pk, wanted)


def person_named(name: str) -> User:
    """Raises NotFound."""
    try:
        return User.objects.only("id").get(username=name)
    except User.DoesNotExist:
        raise NotFound(f"there is no person {quoted(name)}; {NO_PERSON}", field="person") from None


def _check(wanted: Wanted) -> None:
    if not wanted:
        raise InvalidArgument(f"name one or more of {', '.join(LIMITS)}")
    for name, most in wanted.items():
        if name not in LIMITS:
            raise InvalidArgument(f"must be one of {', '.join(LIMITS)}", field="limit")
        if most is not None:
            check_range(most, field=name, lowest=0, highest=settings.MAX_LIMIT)


def _set(kind: Holder, holder_id: int, wanted: Wanted) -> bool:
    Allowance.objects.get_or_create(kind=kind, holder_id=holder_id)
    allowance = Allowance.objects.select_for_update().get(kind=kind, holder_id=holder_id)
    columns = {f"most_{name}": most for name, most in wanted.items()}
    if all(getattr(allowance, column) == most for column, most in columns.items()):
        return False
    Allowance.objects.filter(id=allowance.id).update(**columns)
    return True


def _said(wanted: Wanted) -> str:
    return ", ".join(f"{_number(most)} {SAYS[name]}" for name, most in wanted.items())


def _number(most: int | None) -> str:
    return "the default of" if most is None else f"{most:,}" if most else "any number of"
