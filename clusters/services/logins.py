"""Signing a command line in: it shows a code, and a person approves that on a page (RFC 8628)."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.db import IntegrityError, transaction

from clusters.callers import Operator
from clusters.models import Login
from clusters.services.credentials import NewCredential
from clusters.services.personal_tokens import DEFAULT_DAYS, MAX_DAYS, Wish, create_personal_token
from clusters.services.projects import Change
from clusters.services.throttle import source_at
from clusters.services.values import digest_of
from clusters.validation import MAX_LABEL, check_label, check_range
from rainbow.errors import AlreadyExists, NotFound, ResourceExhausted

# Long enough to sign in with a second factor.
LIFE = timedelta(minutes=15)
POLL_EVERY_SECONDS = 5
# Of the whole server, and from one address. Each is a row for 15 minutes, and anybody can ask.
MAX_PENDING = 10_000
MAX_FROM_ADDRESS = 20
# Without vowels, so that no words come about, and without digits (RFC 8628, section 6.1): 20^8 codes.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
_HALF = 4
_TRIES = 5
_LONGEST_ADDRESS = 45
_RANDOM_BYTES = 24


class LoginState(Enum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLogin:
    """`value` is the command line's alone; `code` is for the person."""

    value: str
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How far a login is, with the token once it is approved."""

    state: LoginState
    token: NewCredential | None = None


@transaction.atomic
def begin_login(*, label: str, days: int = DEFAULT_DAYS, address: str, now: datetime) -> NewLogin:
    """Raises InvalidArgument, and ResourceExhausted while too many others wait for their persons."""
    check_label(label)
    check_range(days, field="days", lowest=1, highest=MAX_DAYS)
    Login.objects.filter(expires_at__lte=now).delete()
    source = source_at(address)
    if Login.objects.filter(source=source).count() >= MAX_FROM_ADDRESS or Login.objects.count() >= MAX_PENDING:
        raise ResourceExhausted("too many logins wait for their persons; try again in some minutes")
    value = "rbl_" + secrets.token_urlsafe(_RANDOM_BYTES)
    for _ in range(_TRIES):
        code = new_code()
        try:
            with transaction.atomic():
                login = Login.objects.create(
                    digest=digest_of(value),
                    code=code,
                    label=label,
                    address=address[:_LONGEST_ADDRESS],
                    source=source,
                    days=days,
                    began_at=now,
                    expires_at=now + LIFE,
                )
        except IntegrityError:
            continue
        return NewLogin(value=value, code=code, expires_at=login.expires_at)
    raise ResourceExhausted("no code is free; try again")


@transaction.atomic
def collect_login(*, value: str, now: datetime) -> Collected:
    """Makes the token of an approved login, once. Raises NotFound for one that is over or never was.

    What a person approved who is disabled by now is denied for good.
    """
    found = Login.objects.select_for_update(no_key=True).filter(digest=digest_of(value), expires_at__gt=now).first()
    if found is None:
        raise NotFound("this login is over; begin anew")
    if found.denied_at or (found.person and not found.person.is_active):
        found.delete()
        return Collected(state=LoginState.DENIED)
    if not (found.approved_at and found.person):
        return Collected(state=LoginState.PENDING)
    change = Change(by=Operator(user_id=found.person.pk, name=found.person.get_username()), now=now)
    token = _token(found, change)
    found.delete()
    return Collected(state=LoginState.APPROVED, token=token)


def find_login(*, code: str, now: datetime) -> Login:
    """The login of a code as people type it. Raises NotFound."""
    letters = "".join(letter for letter in code.upper() if letter in _LETTERS)
    wanted = f"{letters[:_HALF]}-{letters[_HALF:]}"
    undecided = Login.objects.filter(approved_at__isnull=True, denied_at__isnull=True, expires_at__gt=now)
    found = undecided.filter(code=wanted).first()
    if found is None:
        raise NotFound("there is no such code, or its time is over", field="code")
    return found


@transaction.atomic
def decide_login(*, code: str, approve: bool, by: Operator, now: datetime) -> None:
    """Lets the command line have a token of this person, or not. Raises NotFound."""
    login = find_login(code=code, now=now)
    decided = {"approved_at": now, "person_id": by.user_id} if approve else {"denied_at": now}
    undecided = Login.objects.filter(id=login.id, approved_at__isnull=True, denied_at__isnull=True)
    if not undecided.update(**decided):
        raise NotFound("there is no such code, or its time is over", field="code")


def new_code() -> str:
    letters = "".join(secrets.choice(_LETTERS) for _ in range(2 * _HALF))
    return f"{letters[:_HALF]}-{letters[_HALF:]}"


def _token(login: Login, change: Change) -> NewCredential:
    """A person signs in at one machine again and again: the next token of a label has the time in it."""
    try:
        return create_personal_token(wish=Wish(label=login.label, days=login.days), change=change)
    except AlreadyExists:
        ending = f" {change.now:%Y-%m-%d %H:%M:%S}"
        label = login.label[: MAX_LABEL - len(ending)] + ending
        return create_personal_token(wish=Wish(label=label, days=login.days), change=change)
