"""Who gets past the checks of each endpoint of REST and of each page: what docs/who-may.md says, the server does."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from clusters.models import Credential, CredentialKind, Project
from clusters.services.logins import begin_login
from clusters.services.personal_tokens import Wish, create_project_token
from clusters.services.projects import Change
from jobs.models import BulkAction, JobGroup
from jobs.services.webhooks import make_webhook
from jobs.states import ActionKind
from tests.support.members import person_named, personal_token, project_of, submitted_by
from tests.support.pools import pool_of
from tests.support.servers import ROOT
from tests.support.who_may import Role, as_markdown, is_rest, paths, rows, table_of, written

pytestmark = pytest.mark.django_db

DOCS = ROOT / "docs" / "who-may.md"
SESSIONS = ("member", "lead", "viewer", "operator", "superuser")
CREDENTIALS = ("token", "secret", "personal", "for reading", "project")
NAMES = {True: ("none", *CREDENTIALS, *SESSIONS), False: ("none", *SESSIONS)}
TITLES = {True: "REST", False: "Pages"}


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def people(db: None) -> dict[str, Operator]:
    found = {name: person_named(name) for name in SESSIONS}
    for name in ("viewer", "operator"):
        User.objects.filter(username=name).update(is_staff=True)
        Group.objects.get(name=f"{name}s").user_set.add(found[name].user_id)
    User.objects.filter(username="superuser").update(is_staff=True, is_superuser=True)
    return found


@pytest.fixture
def roles(alpha: Any, people: Mapping[str, Operator], now: datetime) -> dict[str, Role]:
    lead, member = people["lead"], people["member"]
    chem = project_of(member, lead=lead, now=now)
    service = create_project_token(project_id=chem.id, wish=Wish(label="service"), change=Change(by=lead, now=now))
    values = {
        "none": "",
        "token": alpha.token,
        "secret": alpha.secret,
        "personal": personal_token(member, now=now),
        "for reading": personal_token(member, now=now, label="reading", reads_only=True),
        "project": service.value,
    }
    of_member = newest_token(person_id=member.user_id)
    things = {**named(alpha, chem, people, now), "token": of_member, "/my/tokens/token_id": of_member}
    bearers = {name: Role(client=with_bearer(value), own=things) for name, value in values.items()}
    sessions = {name: signed_in(one, things, now) for name, one in people.items()}
    return bearers | sessions


def with_bearer(value: str) -> Client:
    return Client(headers={"authorization": f"Bearer {value}"} if value else {}, raise_request_exception=False)


def signed_in(who: Operator, things: Mapping[str, str], now: datetime) -> Role:
    personal_token(who, now=now, label="of the page")
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(id=who.user_id))
    own = newest_token(person_id=who.user_id)
    return Role(client=client, own={**things, "token": own, "/my/tokens/token_id": own})


def named(alpha: Any, chem: Project, people: Mapping[str, Operator], now: datetime) -> dict[str, str]:
    """What addresses name. `project.token_id` is of the page of a project, and so on."""
    member = people["member"].user_id
    job = submitted_by(people["member"], now=now)[0]
    pool = pool_of("alpha", now=now).cluster
    credential = newest_token(cluster_id=alpha.cluster.id)
    of_members = newest_token(person_id=member)
    of_project = newest_token(kind=CredentialKind.PROJECT)
    code = begin_login(label="laptop", address="192.0.2.7", now=now).code
    group = Group.objects.values_list("id", flat=True)[0]
    said = {"owner_id": member, "project": chem, "made_at": now, "added_at": now, "open": True}
    of_jobs = JobGroup.objects.create(cluster=alpha.cluster, **said)
    webhook = str(make_webhook(project_id=chem.id, url="https://hooks.example.org/", events=[], now=now).id)
    return {
        "cluster": "alpha",
        "pool": "big",
        "project": "chem",
        "group": str(of_jobs.id),
        "group_id": str(of_jobs.id),
        "webhook": webhook,
        "/admin/jobs/webhook/object_id": webhook,
        "job": str(job),
        "job_id": str(job),
        "credential": credential,
        "project_id": str(chem.id),
        "cluster_id": str(alpha.cluster.id),
        "pool_id": str(pool.id),
        "credential_id": credential,
        "person_id": str(member),
        "bulk_action_id": str(going(people, job, now)),
        "/my/projects/name": "chem",
        "/my/clusters/name": "alpha",
        "/my/projects/token_id": of_project,
        "/admin/clusters/project/token_id": of_project,
        "/admin/auth/user/token_id": of_members,
        "/admin/auth/user/verb": "disable",
        "/admin/clusters/project/verb": "add",
        "/admin/clusters/cluster/verb": "pause",
        "kind": "cancel",
        "app_label": "jobs",
        "code": code,
        "/admin/auth/group/object_id": str(group),
        "/admin/auth/user/object_id": str(member),
        "/admin/auth/user/id": str(member),
        "/admin/clusters/project/object_id": str(chem.id),
        "/admin/clusters/cluster/object_id": str(alpha.cluster.id),
        "/admin/jobs/job/object_id": str(job),
        "content_type_id": "1",
        "/admin/r/object_id": "1",
    }


def going(people: Mapping[str, Operator], job: int, now: datetime) -> int:
    begun = {"begun_at": now, "stepped_at": now, "first_id": job, "next_id": job, "last_id": job}
    by = people["operator"].user_id
    return BulkAction.objects.create(kind=ActionKind.CANCEL, reason="drill", search={}, operator_id=by, **begun).id


def newest_token(**of: Any) -> str:
    return str(Credential.objects.filter(**of).order_by("-id").values_list("id", flat=True)[0])


@pytest.mark.parametrize("rest", [True, False])
def test_the_table_has_each_call_and_the_server_does_as_it_says(rest: bool, roles: dict[str, Role]) -> None:
    calls = rows([path for path in paths() if is_rest(path) == rest], roles["superuser"])
    found = table_of(calls, {name: roles[name] for name in NAMES[rest]})

    assert found == written(DOCS.read_text(), TITLES[rest], NAMES[rest]), as_markdown(found)
