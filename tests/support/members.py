"""Persons, projects and their tokens."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from clusters.callers import Caller, Claim, Operator
from clusters.models import Project, Role
from clusters.services.authenticate import admit
from clusters.services.of_people import caller_of_person
from clusters.services.personal_tokens import Wish, create_personal_token
from clusters.services.projects import Change, add_member, create_project, grant_cluster, share_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec


def person_named(name: str) -> Operator:
    """Somebody who may sign in, and is no operator."""
    return Operator(user_id=User.objects.create_user(name).id, name=name)


def operator_of_projects(name: str) -> Operator:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_project"))
    return Operator(user_id=user.id, name=name)


def project_of(
    *people: Operator, name: str = "chem", at: tuple[str, ...] = ("alpha",), lead: Operator | None = None, now: datetime
) -> Project:
    """A project of these people that may use these clusters."""
    change = Change(by=None, now=now)
    project = create_project(name=name, change=change)
    for one in people:
        add_member(project_id=project.id, person=one.name, change=change)
    if lead:
        add_member(project_id=project.id, person=lead.name, role=Role.LEAD, change=change)
    for cluster in at:
        grant_cluster(project_id=project.id, cluster=cluster, change=change)
    return project


def personal_token(who: Operator, *, project: str = "", now: datetime, label: str = "laptop", **wish: Any) -> str:
    wanted = Wish(label=label, **wish)
    return create_personal_token(wish=wanted, project=project, change=Change(by=who, now=now)).value


def token_of(who: Operator, **wish: Any) -> str:
    """A personal token for requests, which ask the real clock whether it has expired."""
    return personal_token(who, now=timezone.now(), **wish)


def caller_with(value: str, *, cluster: str | None = None, now: datetime, reads: bool = False) -> Caller:
    return admit(Claim(value=value, cluster=cluster, reads=reads), now=now)


def browser_of(who: Operator) -> Client:
    """A browser in which they are signed in."""
    client = Client()
    client.force_login(User.objects.get(id=who.user_id))
    return client


def submitted_by(
    who: Operator, number: int = 1, *, cluster: str = "alpha", project: str = "", now: datetime, **spec: Any
) -> list[int]:
    """Jobs that a person submitted on a page."""
    caller = caller_of_person(who.user_id, cluster=cluster)
    wanted = JobSpec(**{"command": "hostname", **spec})
    orders = [Order(by=caller, cluster_id=caller.cluster_id, spec=wanted, project=project) for _ in range(number)]
    receipts = submit_jobs(orders=orders, now=now)
    assert all(isinstance(receipt, Receipt) for receipt in receipts), receipts
    return [receipt.job_id for receipt in receipts if isinstance(receipt, Receipt)]


def shares(project: Project, *, now: datetime) -> None:
    share_jobs(project_id=project.id, shares=True, change=Change(by=None, now=now))
