"""Persons of a running server, with a project that may use a cluster."""

import subprocess

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, RainbowServer, environment_for

_MAKE = """
from django.contrib.auth.models import User
from django.utils.timezone import now
from clusters.callers import Operator
from clusters.models import Project
from clusters.services.personal_tokens import Wish, create_personal_token
from clusters.services.projects import Change, add_member, create_project, grant_cluster
who = User.objects.get_or_create(username={name!r})[0]
change = Change(by=None, now=now())
for cluster in {clusters!r}:
    found = Project.objects.filter(name=f"of-{{cluster}}").first()
    project = found or create_project(name=f"of-{{cluster}}", change=change)
    if not found:
        grant_cluster(project_id=project.id, cluster=cluster, change=change)
    add_member(project_id=project.id, person=who.username, change=change)
by = Change(by=Operator(user_id=who.id, name=who.username), now=now())
print(create_personal_token(wish=Wish(label=" ".join({clusters!r})), project="", change=by).value)
"""


def token_of_person(server: RainbowServer, name: str, *clusters: str) -> str:
    """A personal token of a person, who may use these clusters."""
    code = _MAKE.format(name=name, clusters=clusters)
    made = subprocess.run(
        [*MANAGE, "shell", "--verbosity=0", "--command", code],
        env=environment_for(server.database_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()
