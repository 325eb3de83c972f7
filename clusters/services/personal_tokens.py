"""Tokens of persons and of projects. What they reach is looked up when they are used (clusters/services/reach.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from clusters.callers import Operator
from clusters.models import Cluster, Credential, CredentialKind, Project, ProjectWhat, Role, Scope
from clusters.services.credentials import NewCredential, free_label
from clusters.services.projects import Change, check_manages, note, operates
from clusters.services.values import digest_of, new_value
from clusters.services.withdrawals import note_withdrawal
from clusters.validation import check_label, check_range, check_reason
from clusters.visible import quoted
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

DEFAULT_DAYS = 90
MAX_DAYS = 365
# Of one person or project. Their pages list them all.
MAX_TOKENS = 100
MAX_SCOPES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A token that is wanted: for 1 to 365 days. `clusters` (0 to 100 names) narrows it to some of the holder's."""

    label: str
    days: int = DEFAULT_DAYS
    clusters: Sequence[str] = ()
    reads_only: bool = False


@transaction.atomic
def create_personal_token(*, wish: Wish, project: str = "", change: Change) -> NewCredential:
    """A token of the person who asks, narrowed to one of their projects if that is named.

    Raises InvalidArgument, AlreadyExists when the label is in use, NotFound for a project or cluster that is not
    theirs, FailedPrecondition at MAX_TOKENS.
    """
    if change.by is None:
        raise PermissionDenied("a personal token is made by its person")
    _check(wish, change)
    # Locked, so that no two calls count the same tokens.
    person = User.objects.select_for_update(no_key=True).get(id=change.by.user_id)
    narrowed = _own_project(person, project)
    _check_room(Credential.objects.live(change.now).filter(person=person).count())
    scopes = _scopes(wish, Cluster.objects.filter(**_reached_by(person, narrowed)))
    new = _add(CredentialKind.PERSONAL, wish, scopes, change, person=person, project=narrowed)
    _log(person, new.credential, ADDITION, "made", change)
    return new


@transaction.atomic
def create_project_token(*, project_id: int, wish: Wish, change: Change) -> NewCredential:
    """A token of a project, for a service. Raises what `create_personal_token` does, PermissionDenied."""
    _check(wish, change)
    project = Project.objects.select_for_update(no_key=True).filter(id=project_id).first()
    if project is None:
        raise NotFound("there is no such project", field="project")
    check_manages(project, change.by)
    own = Credential.objects.live(change.now).filter(project=project, kind=CredentialKind.PROJECT)
    _check_room(own.count())
    scopes = _scopes(wish, Cluster.objects.filter(grants__project=project))
    new = _add(CredentialKind.PROJECT, wish, scopes, change, project=project)
    note(ProjectWhat.TOKEN_MADE, project, change, about=str(new.credential))
    return new


@transaction.atomic
def revoke_token(*, credential_id: int, change: Change) -> None:
    """Revokes a token of a person or project for good, at once.

    Its person may, the leads of its project, and operators. Raises NotFound for another's, FailedPrecondition.
    """
    check_reason(change.reason)
    token = (
        Credential.objects.select_for_update(no_key=True, of=("self",))
        .select_related("person", "project")
        .filter(id=credential_id, kind__in=(CredentialKind.PERSONAL, CredentialKind.PROJECT))
        .first()
    )
    if token is None or not _may_revoke(token, change.by):
        raise NotFound("there is no such token")
    if not Credential.objects.filter(id=token.id, revoked_at__isnull=True).update(revoked_at=change.now):
        raise FailedPrecondition("this token was revoked before")
    note_withdrawal(credential_id=token.id, now=change.now)
    if token.kind == CredentialKind.PROJECT and token.project:
        note(ProjectWhat.TOKEN_REVOKED, token.project, change, about=str(token))
    elif token.person:
        _log(token.person, token, CHANGE, "revoked", change)


def tokens_of_person(person_id: int, *, now: datetime) -> list[Credential]:
    """Those that work, the newest first, with what they are narrowed to."""
    live = Credential.objects.live(now).filter(person_id=person_id).select_related("project")
    return list(live.prefetch_related("scopes__cluster").order_by("-id"))


def _check(wish: Wish, change: Change) -> None:
    check_label(wish.label)
    check_reason(change.reason)
    check_range(wish.days, field="days", lowest=1, highest=MAX_DAYS)
    if len(wish.clusters) > MAX_SCOPES:
        raise InvalidArgument(f"must be at most {MAX_SCOPES} clusters, not {len(wish.clusters):,}", field="clusters")


def _check_room(there: int) -> None:
    if there >= MAX_TOKENS:
        raise FailedPrecondition(f"there are {MAX_TOKENS} tokens; revoke one first")


def _own_project(person: User, name: str) -> Project | None:
    if not name:
        return None
    found = Project.objects.filter(name=name, memberships__person=person, closed_at__isnull=True).first()
    if found is None:
        raise NotFound(f"you are in no project {quoted(name)}", field="project")
    return found


def _reached_by(person: User, project: Project | None) -> dict[str, object]:
    if project:
        return {"grants__project": project}
    return {"grants__project__memberships__person": person, "grants__project__closed_at__isnull": True}


def _scopes(wish: Wish, reached: QuerySet[Cluster]) -> list[Cluster]:
    found = {one.name: one for one in reached.filter(name__in=wish.clusters).only("name").distinct()}
    for name in wish.clusters:
        if name not in found:
            raise NotFound(f"you may not use {quoted(name)}", field="clusters")
    return list(found.values())


def _add(
    kind: CredentialKind,
    wish: Wish,
    scopes: Sequence[Cluster],
    change: Change,
    *,
    person: User | None = None,
    project: Project | None = None,
) -> NewCredential:
    value = new_value(kind)
    free_label(now=change.now, kind=kind, label=wish.label, **({"person": person} if person else {"project": project}))
    try:
        with transaction.atomic():
            credential = Credential.objects.create(
                kind=kind,
                person=person,
                project=project,
                label=wish.label,
                reads_only=wish.reads_only,
                digest=digest_of(value),
                created_at=change.now,
                expires_at=change.now + timedelta(days=wish.days),
                issued_by_id=change.by.user_id if change.by else None,
            )
    except IntegrityError:
        raise AlreadyExists("a token has this label; choose another", field="label") from None
    Scope.objects.bulk_create(Scope(credential=credential, cluster=cluster) for cluster in scopes)
    return NewCredential(credential=credential, value=value)


def _may_revoke(token: Credential, by: Operator | None) -> bool:
    if by is None or token.person_id == by.user_id or operates(by):
        return True
    if token.kind != CredentialKind.PROJECT or token.project is None:
        return False
    return token.project.memberships.filter(person_id=by.user_id, role=Role.LEAD).exists()


def _log(person: User, token: Credential, flag: int, verb: str, change: Change) -> None:
    """In the admin's log: of persons there are no events."""
    said = f"{verb} the token {token.label}"
    LogEntry.objects.log_actions(
        user_id=change.by.user_id if change.by else person.pk,
        queryset=[token],
        action_flag=flag,
        change_message=f"{said}: {change.reason}" if change.reason else said,
    )
