"""Which credential may make which call: what docs/people.md says in a table, a server does."""

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, ROOT, RainbowServer, environment_for
from tests.support.wire import METHODS, Remote, bearer, new_name

OPEN = {"Register", "Serial", "Stream", "BeginLogin", "CollectLogin"}
KINDS = ("token", "secret", "personal", "for reading", "project", "none")
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)
TABLE = {
    name: dict(zip(KINDS, cells.split(" | "), strict=True))
    for name, cells in ROW.findall((ROOT / "docs" / "people.md").read_text().partition("## Who may call what")[2])
}
REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
MAKE = """
from datetime import UTC, datetime
from django.contrib.auth.models import User
from clusters.callers import Operator
from clusters.models import Role
from clusters.services.personal_tokens import Wish, create_personal_token, create_project_token
from clusters.services.projects import Change, add_member, create_project, grant_cluster
now = datetime.now(UTC)
user = User.objects.create_user({name!r})
server, person = Change(by=None, now=now), Change(by=Operator(user_id=user.id, name=user.username), now=now)
project = create_project(name={name!r}, change=server)
add_member(project_id=project.id, person=user.username, role=Role.LEAD, change=server)
grant_cluster(project_id=project.id, cluster={cluster!r}, change=server)
print(create_personal_token(wish=Wish(label="all"), change=person).value)
print(create_personal_token(wish=Wish(label="reading", reads_only=True), change=person).value)
print(create_project_token(project_id=project.id, wish=Wish(label="service"), change=person).value)
"""


@pytest.fixture
def credentials(server: RainbowServer, remote: Remote) -> Mapping[str, str]:
    """One of each kind, all for the cluster."""
    code = MAKE.format(name=new_name(), cluster=remote.name)
    shell = [*MANAGE, "shell", "--verbosity=0", "--command", code]
    environment = environment_for(server.database_url)
    made = subprocess.run(
        shell, env=environment, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    ).stdout.split()
    return dict(zip(KINDS, (remote.token, remote.secret, *made, ""), strict=True))


def test_the_table_has_each_call_that_needs_a_credential() -> None:
    assert set(TABLE) == set(METHODS) - OPEN


def test_each_credential_makes_the_calls_of_the_table_and_no_others(
    remote: Remote, credentials: Mapping[str, str]
) -> None:
    found = {
        name: {kind: "yes" if admitted(remote, name, value) else "no" for kind, value in credentials.items()}
        for name in TABLE
    }

    assert found == TABLE


def admitted(remote: Remote, name: str, value: str) -> bool:
    """Whether a call that says no more than the cluster gets past its credential: it may fail for what it lacks."""
    method = METHODS[name]
    request = getattr(pb, method.input_type.name)()
    if "cluster" in method.input_type.fields_by_name:
        request.cluster = remote.name
    said: Any = iter([request]) if method.client_streaming else request
    try:
        answer = getattr(remote.stub, name)(said, metadata=bearer(value) if value else (), timeout=PATIENCE_SECONDS)
        list(answer) if method.server_streaming else None
    except grpc.RpcError as error:
        return error.code() not in REFUSALS
    return True
