"""The accounts of people who sign in at a provider of OpenID Connect."""

import unicodedata
from enum import Enum

from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from rainbow.errors import ResourceExhausted
from rainbow_site.models import Identity

_NAMELESS = "person"
_LONGEST_NAME = 60
_ALSO_ALLOWED = frozenset("._@+-")
# Of one name.
_MOST_ACCOUNTS = 1_000


class Standing(Enum):
    """What the provider's groups make of a person; the value names the group of accounts that goes with it."""

    OPERATOR = "operators"
    VIEWER = "viewers"
    MEMBER = ""


_OF_STANDINGS = tuple(standing.value for standing in Standing if standing.value)


@transaction.atomic
def person_of(*, issuer: str, subject: str, wished_name: str, standing: Standing) -> tuple[User, bool]:
    """The account of an identity, with the groups of its standing, and whether it was made now.

    Only (issuer, subject) finds an account. `wished_name` names a new one, with a number where the name is taken: an
    account that exists is never taken over. Raises ResourceExhausted when too many have this name.
    """
    person = _known(issuer, subject)
    made = person is None
    if person is None:
        person = _make(issuer, subject, account_name(wished_name))
    _set_standing(person, standing)
    return person, made


@transaction.atomic
def take_standing(*, issuer: str, subject: str) -> None:
    """Leaves a person who is in none of the provider's groups without the console's permissions."""
    if person := _known(issuer, subject):
        _set_standing(person, Standing.MEMBER)


def account_name(wished: str) -> str:
    """The name in letters that cannot be mistaken for others."""
    plain = unicodedata.normalize("NFKD", wished).encode("ascii", "ignore").decode()
    name = "".join(letter if letter.isalnum() or letter in _ALSO_ALLOWED else "-" for letter in plain)
    return name.strip("-")[:_LONGEST_NAME] or _NAMELESS


def _known(issuer: str, subject: str) -> User | None:
    return User.objects.filter(identities__issuer=issuer, identities__subject=subject).first()


def _make(issuer: str, subject: str, name: str) -> User:
    for number in range(1, _MOST_ACCOUNTS):
        free = name if number == 1 else f"{name}-{number}"
        if User.objects.filter(username__iexact=free).exists():
            continue
        try:
            with transaction.atomic():
                person = User.objects.create_user(free)
                Identity.objects.create(person=person, issuer=issuer, subject=subject)
        except IntegrityError:
            # Another sign-in took the name, or was that of the same person.
            if known := _known(issuer, subject):
                return known
            continue
        return person
    raise ResourceExhausted(f"{_MOST_ACCOUNTS:,} accounts are named {name!r} already")


def _set_standing(person: User, standing: Standing) -> None:
    """Changes no other group or permission, which operators may have given."""
    staff = standing is not Standing.MEMBER
    if person.is_staff != staff:
        person.is_staff = staff
        person.save(update_fields=["is_staff"])
    person.groups.remove(*Group.objects.filter(name__in=_OF_STANDINGS).exclude(name=standing.value))
    person.groups.add(*Group.objects.filter(name=standing.value))
