"""The persons and projects of the demo."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from clusters.callers import Operator
from clusters.models import Credential, Project, Role
from clusters.services.personal_tokens import Wish, create_personal_token, create_project_token
from clusters.services.projects import Change, add_member, create_project, grant_cluster

# The one who signs in, and leads the first project.
PERSON = "ada"
# By project: its people, the lead first, and whether they see each other's jobs.
_PROJECTS = {"climate": (("ada", "emil", "noor"), True), "hadrons": (("noor", "ada"), False)}
_SERVICE = "dashboard"


def stage_people(clusters: Iterable[str], *, now: datetime) -> Mapping[str, Sequence[Credential]]:
    """Adds persons with projects that may use these clusters; returns the tokens of each project's people."""
    begun = now - timedelta(days=60)
    made = {name: _stage_project(name, clusters, begun) for name in _PROJECTS}
    lead = Change(by=_person(_PROJECTS["climate"][0][0]), now=begun, reason="the plots on the wall")
    create_project_token(project_id=made["climate"].id, wish=Wish(label=_SERVICE), change=lead)
    return {name: [_token(person, name, begun) for person in people] for name, (people, _) in _PROJECTS.items()}


def grant_pool(name: str, *, now: datetime) -> None:
    for project in Project.objects.filter(name__in=_PROJECTS):
        grant_cluster(project_id=project.id, cluster=name, change=Change(by=None, now=now))


def let_in(password: str) -> None:
    person = User.objects.get(username=PERSON)
    person.set_password(password)
    person.save()


def _stage_project(name: str, clusters: Iterable[str], begun: datetime) -> Project:
    people, shares = _PROJECTS[name]
    change = Change(by=None, now=begun)
    project = create_project(name=name, shares_jobs=shares, change=change)
    for person in people:
        User.objects.get_or_create(username=person)
        role = Role.LEAD if person == people[0] else Role.MEMBER
        add_member(project_id=project.id, person=person, role=role, change=change)
    for cluster in clusters:
        grant_cluster(project_id=project.id, cluster=cluster, change=change)
    return project


def _token(person: str, project: str, begun: datetime) -> Credential:
    change = Change(by=_person(person), now=begun)
    return create_personal_token(wish=Wish(label=f"{project}-laptop"), project=project, change=change).credential


def _person(name: str) -> Operator:
    return Operator(user_id=User.objects.get(username=name).pk, name=name)
