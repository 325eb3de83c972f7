"""Making and changing projects: their members, and the clusters that they may use."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from clusters.callers import Operator
from clusters.models import (
    MAX_WEIGHT,
    Cluster,
    Credential,
    CredentialKind,
    Grant,
    Membership,
    Project,
    ProjectEvent,
    ProjectWhat,
    Role,
)
from clusters.services.withdrawals import note_withdrawal
from clusters.validation import check_cluster_name, check_range, check_reason
from clusters.visible import quoted
from rainbow.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

# Pages and answers list them all.
MAX_MEMBERS = 1_000
MAX_GRANTS = 1_000
NO_PERSON = "an operator adds accounts in the console, or the first sign-in at a provider makes one"
CHANGE_PROJECTS = "clusters.change_project"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changes a project, and why. `by` None is the server's command line."""

    by: Operator | None
    now: datetime
    reason: str = ""


@transaction.atomic
def create_project(*, name: str, shares_jobs: bool = False, change: Change) -> Project:
    """Raises InvalidArgument, AlreadyExists when the name is taken, PermissionDenied."""
    check_operates(change)
    check_cluster_name(name)
    check_reason(change.reason)
    try:
        with transaction.atomic():
            project = Project.objects.create(name=name, made_at=change.now, shares_jobs=shares_jobs)
    except IntegrityError:
        raise AlreadyExists("a project has this name; choose another", field="name") from None
    note(ProjectWhat.MADE, project, change)
    return project


@transaction.atomic
def share_jobs(*, project_id: int, shares: bool, change: Change) -> bool:
    """Lets the members see each other's jobs, or no longer; whether that changed anything. Raises NotFound."""
    project = _managed(project_id, change)
    if project.shares_jobs == shares:
        return False
    project.shares_jobs = shares
    project.save(update_fields=["shares_jobs"])
    if not shares:
        note_withdrawal(project_id=project.id, now=change.now)
    note(ProjectWhat.SHARES if shares else ProjectWhat.SHARES_NOT, project, change)
    return True


@transaction.atomic
def weigh_project(*, project_id: int, weight: int, change: Change) -> bool:
    """Lets a node of its jobs cost one over this (1 to 1,000) where submitters take turns; whether that is new.

    Of operators. Raises InvalidArgument and NotFound.
    """
    check_operates(change)
    check_range(weight, field="weight", lowest=1, highest=MAX_WEIGHT)
    project = _managed(project_id, change)
    if project.weight == weight:
        return False
    project.weight = weight
    project.save(update_fields=["weight"])
    note(ProjectWhat.WEIGHED, project, change, about=str(weight))
    return True


@transaction.atomic
def close_project(*, project_id: int, change: Change) -> bool:
    """Ends all that the project grants, at once; its waiting jobs stay. Whether it was open. Raises NotFound."""
    return _set_closed(project_id, change, closed=True)


@transaction.atomic
def reopen_project(*, project_id: int, change: Change) -> bool:
    return _set_closed(project_id, change, closed=False)


def _set_closed(project_id: int, change: Change, *, closed: bool) -> bool:
    check_operates(change)
    project = locked_project(project_id, change)
    if closed == (project.closed_at is not None):
        return False
    project.closed_at = change.now if closed else None
    project.save(update_fields=["closed_at"])
    if closed:
        note_withdrawal(project_id=project.id, now=change.now)
    note(ProjectWhat.CLOSED if closed else ProjectWhat.REOPENED, project, change)
    return True


@transaction.atomic
def add_member(*, project_id: int, person: str, role: Role = Role.MEMBER, change: Change) -> bool:
    """Takes a person (a user name) in, or changes their role; whether that changed anything.

    Raises NotFound for a project or person that is not there, FailedPrecondition at MAX_MEMBERS, PermissionDenied.
    """
    project = _managed(project_id, change)
    user = User.objects.filter(username=person).first()
    if user is None:
        raise NotFound(f"there is no person {quoted(person)}; {NO_PERSON}", field="person")
    member = project.memberships.filter(person=user).first()
    if member and member.role == role:
        return False
    if member:
        project.memberships.filter(id=member.id).update(role=role)
        note_withdrawal(person_id=user.pk, now=change.now)
    else:
        _check_room(project.memberships.count(), MAX_MEMBERS, "members")
        Membership.objects.create(project=project, person=user, role=role)
    what = ProjectWhat.ROLE_CHANGED if member else ProjectWhat.MEMBER_ADDED
    note(what, project, change, about=f"{person} as {role}")
    return True


@transaction.atomic
def remove_member(*, project_id: int, person: str, change: Change) -> None:
    """Ends at once what the person reaches through the project. Raises NotFound, PermissionDenied."""
    project = _managed(project_id, change)
    member = project.memberships.filter(person__username=person).first()
    if member is None:
        raise NotFound(f"{quoted(person)} is no member", field="person")
    member.delete()
    note_withdrawal(person_id=member.person_id, now=change.now)
    note(ProjectWhat.MEMBER_REMOVED, project, change, about=person)


@transaction.atomic
def grant_cluster(*, project_id: int, cluster: str, change: Change) -> bool:
    """Lets the project use a cluster or a pool; whether it could not before.

    Raises NotFound, FailedPrecondition at MAX_GRANTS, PermissionDenied.
    """
    check_operates(change)
    project = locked_project(project_id, change)
    granted = Cluster.objects.filter(name=cluster).only("id").first()
    if granted is None:
        raise NotFound(f"there is no cluster or pool {quoted(cluster)}", field="cluster")
    if project.grants.filter(cluster=granted).exists():
        return False
    _check_room(project.grants.count(), MAX_GRANTS, "clusters and pools")
    Grant.objects.create(project=project, cluster=granted)
    note(ProjectWhat.GRANTED, project, change, about=cluster)
    return True


@transaction.atomic
def withdraw_cluster(*, project_id: int, cluster: str, change: Change) -> None:
    """Ends at once the project's use of a cluster or a pool. Raises NotFound, PermissionDenied."""
    check_operates(change)
    project = locked_project(project_id, change)
    withdrawn, _ = project.grants.filter(cluster__name=cluster).delete()
    if not withdrawn:
        raise NotFound(f"the project may not use {quoted(cluster)}", field="cluster")
    note_withdrawal(project_id=project.id, now=change.now)
    note(ProjectWhat.WITHDRAWN, project, change, about=cluster)


def check_manages(project: Project, by: Operator | None) -> None:
    """Raises PermissionDenied unless they are a lead of the project, or an operator of projects."""
    if not _manages(project, by):
        raise PermissionDenied("a lead of the project or an operator is required")


def _manages(project: Project, by: Operator | None) -> bool:
    if by is None or operates(by):
        return True
    return project.memberships.filter(person_id=by.user_id, person__is_active=True, role=Role.LEAD).exists()


def operates(by: Operator) -> bool:
    """Whether the permission to change projects is theirs."""
    user = User.objects.filter(id=by.user_id, is_active=True, is_staff=True).first()
    return user is not None and user.has_perm(CHANGE_PROJECTS)


def note(what: ProjectWhat, project: Project, change: Change, *, about: str = "") -> None:
    """Adds an event. Call it in the transaction of the change."""
    ProjectEvent.objects.create(
        project=project,
        at=change.now,
        what=what,
        about=about,
        by_id=change.by.user_id if change.by else None,
        why=change.reason,
    )


def tokens_of(project: Project, *, now: datetime) -> list[Credential]:
    """Its own that work, with what they are narrowed to."""
    live = Credential.objects.live(now).filter(project=project, kind=CredentialKind.PROJECT).select_related("project")
    return list(live.prefetch_related("scopes__cluster").order_by("label", "id"))


def _managed(project_id: int, change: Change) -> Project:
    """The project, locked, for someone who looks after it."""
    project = locked_project(project_id, change)
    check_manages(project, change.by)
    return project


def locked_project(project_id: int, change: Change) -> Project:
    check_reason(change.reason)
    try:
        return Project.objects.select_for_update(no_key=True).get(id=project_id)
    except Project.DoesNotExist:
        raise NotFound("there is no such project", field="project") from None


def check_operates(change: Change) -> None:
    if change.by is not None and not operates(change.by):
        raise PermissionDenied("an operator of projects is required")


def _check_room(there: int, most: int, what: str) -> None:
    if there >= most:
        raise FailedPrecondition(f"the project has {most:,} {what}; remove one first")


def project_managed(name: str, by: Operator | None) -> Project:
    """Raises InvalidArgument, and NotFound alike for a project that is not there and one that others look after."""
    if not name:
        raise InvalidArgument("must not be empty", field="project")
    project = Project.objects.filter(name=name).first()
    if project is None or not _manages(project, by):
        raise NotFound(f"you lead no project {quoted(name)}", field="project")
    return project


def project_named(name: str) -> Project:
    """Raises InvalidArgument, NotFound."""
    if not name:
        raise InvalidArgument("must not be empty", field="project")
    try:
        return Project.objects.get(name=name)
    except Project.DoesNotExist:
        raise NotFound(f"there is no project {quoted(name)}", field="project") from None
