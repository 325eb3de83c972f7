"""What is taken away ends the calls that wait, on whichever of two servers they do."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, RainbowServer, environment_for, start_rainbow
from tests.support.web import Reply, get, post
from tests.support.wire import DENIED, Refusal, Remote, bearer, connected, eventually, joined, new_name, refusal_in

# Into the report of the tests: how soon each call ended.
Note = Callable[[str, object], None]
# Calls that are not woken are admitted anew after a minute.
SECONDS_WITHOUT = 60
HAND = """
import json, sys, time
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.utils.timezone import now
from clusters.callers import Operator
from clusters.models import *
from clusters.services.credentials import revoke_credential, rotate_credential
from clusters.services.personal_tokens import *
from clusters.services.projects import *
from clusters.services.people import set_active
for line in sys.stdin:
    server = Change(by=None, now=now())
    said = []
    exec(json.loads(line), globals())
    print(json.dumps(said), flush=True)
"""
MAKE = """
user = User.objects.create_user("{name}")
by = Change(by=Operator(user_id=user.id, name=user.username), now=now())
project = create_project(name="{name}", change=server)
add_member(project_id=project.id, person="{name}", role=Role.LEAD, change=server)
grant_cluster(project_id=project.id, cluster="{cluster}", change=server)
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session.save()
said += [create_personal_token(wish=Wish(label="laptop"), change=by).value]
said += [create_project_token(project_id=project.id, wish=Wish(label="service"), change=by).value, session.session_key]
"""
THE_GRANT = 'withdraw_cluster(project_id=Project.objects.get(name="{name}").id, cluster="{cluster}", change=server)'
THE_MEMBERSHIP = 'remove_member(project_id=Project.objects.get(name="{name}").id, person="{name}", change=server)'
THE_PROJECT = 'close_project(project_id=Project.objects.get(name="{name}").id, change=server)'
THE_PERSON = 'set_active(person_id=User.objects.get(username="{name}").id, active=False, change=server)'
THE_TOKEN = 'revoke_token(credential_id=Credential.objects.get({of}__{what}="{name}").id, change=server)'
PERSONAL = THE_TOKEN.replace("{of}__{what}", "person__username")
OF_PROJECT = THE_TOKEN.replace("{of}__{what}", "project__name")
OF_CLUSTER = 'Credential.objects.get(kind="{kind}", cluster__name="{cluster}")'
CLUSTER_TOKEN, SECRET = (
    "revoke_credential(credential=" + OF_CLUSTER.replace("{kind}", kind) + ", by=None, now=now())"
    for kind in ("token", "secret")
)
ROTATION = 'rotate_credential(cluster_id=Cluster.objects.get(name="{cluster}").id, kind="secret", by=None, now=now())'


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """With a project that may use a cluster."""

    name: str
    cluster: Remote
    personal: str
    project: str
    session: str

    def credential(self, kind: str) -> str:
        return str(getattr(self.cluster if kind in ("token", "secret") else self, kind))


@pytest.fixture(scope="module")
def front(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    log = tmp_path_factory.mktemp("front") / "log"
    running = start_rainbow(database_url=new_database(), log=log, with_web=True)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def back(front: RainbowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """A second server of the same database."""
    running = start_rainbow(database_url=front.database_url, log=tmp_path_factory.mktemp("back") / "log")
    yield running
    running.stop()


class Hand:
    """A process of the operator's, which runs code with the services: one for all tests, as it takes long to start."""

    def __init__(self, server: RainbowServer) -> None:
        shell = [*MANAGE, "shell", "--verbosity=0", "--command", HAND]
        # Sessions are signed with the key.
        environment = environment_for(server.database_url, RAINBOW_SECRET_KEY="for-the-tests-only")
        self.process = subprocess.Popen(
            shell, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(self, code: str) -> list[Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{json.dumps(code)}\n")
        said: list[Any] = json.loads(self.process.stdout.readline())
        return said

    def take(self, what: str, person: Person) -> float:
        """Takes it away, and returns when that was committed."""
        done = what.format(name=person.name, cluster=person.cluster.name)
        return float(self.run(f"{done}\nsaid.append(time.time())")[0])


@pytest.fixture(scope="module")
def hand(front: RainbowServer) -> Iterator[Hand]:
    made = Hand(front)
    yield made
    made.process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def person(front: RainbowServer, hand: Hand) -> Iterator[Person]:
    with joined(front) as cluster:
        name = new_name()
        personal, project, session = hand.run(MAKE.format(name=name, cluster=cluster.name))
        yield Person(name=name, cluster=cluster, personal=personal, project=project, session=session)


def refusal_at_the_end(call: Callable[[], object]) -> tuple[Refusal, float]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return refusal_in(caught.value), time.time()


def watch(server: RainbowServer, person: Person, kind: str, begun: Future[None]) -> None:
    submission = person.cluster.submission(token=person.credential(kind))
    with connected(server.address) as stub:
        job_id = stub.SubmitJob(submission, timeout=PATIENCE_SECONDS).jobid
        request = pb.WatchJobsRequest(jobids=[job_id], cluster=person.cluster.name)
        answers = stub.WatchJobs(request, metadata=bearer(person.credential(kind)), timeout=PATIENCE_SECONDS)
        next(answers)
        begun.set_result(None)
        list(answers)


def ended(call: Callable[[], object], begun: Future[None], deed: Callable[[], float]) -> tuple[Refusal, float]:
    """How a call that waits ended, and how many seconds after the deed was committed."""
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(refusal_at_the_end, call)
        begun.result(timeout=PATIENCE_SECONDS)
        taken_at = deed()
        refusal, ended_at = refused.result(timeout=PATIENCE_SECONDS)
    return refusal, ended_at - taken_at


STREAMS = {
    "a cluster's token": ("token", CLUSTER_TOKEN),
    "a personal token": ("personal", PERSONAL),
    "a project's token": ("project", OF_PROJECT),
    "a grant": ("personal", THE_GRANT),
    "a grant of a project's token": ("project", THE_GRANT),
    "a membership": ("personal", THE_MEMBERSHIP),
    "a project": ("personal", THE_PROJECT),
    "a person": ("personal", THE_PERSON),
}


@pytest.mark.parametrize(("kind", "what"), STREAMS.values(), ids=STREAMS)
def test_a_stream_on_another_server_ends_when_what_it_needs_is_taken(
    back: RainbowServer, hand: Hand, person: Person, kind: str, what: str, record_property: Note
) -> None:
    begun = Future[None]()

    refusal, seconds = ended(lambda: watch(back, person, kind, begun), begun, lambda: hand.take(what, person))

    record_property("seconds", round(seconds, 2))
    assert refusal == DENIED
    assert seconds < SECONDS_WITHOUT / 2


@pytest.mark.parametrize("what", [SECRET, ROTATION], ids=["revoked", "rotated"])
def test_a_request_that_waits_on_another_server_ends_when_its_secret_does(
    back: RainbowServer, hand: Hand, person: Person, what: str, record_property: Note
) -> None:
    begun = Future[None]()
    request = pb.RequestJobsRequest(cluster=person.cluster.name, secret=person.cluster.secret, wait_seconds=300)

    def wait() -> None:
        with connected(back.address) as stub:
            stub.RequestJobs(pb.RequestJobsRequest(cluster=request.cluster, secret=request.secret))
            waiting = stub.RequestJobs.future(request, timeout=PATIENCE_SECONDS)
            begun.set_result(None)
            waiting.result()

    refusal, seconds = ended(wait, begun, lambda: hand.take(what, person))

    record_property("seconds", round(seconds, 2))
    assert refusal == DENIED
    assert seconds < SECONDS_WITHOUT / 2


def test_a_rest_call_that_waits_ends_when_its_secret_is_revoked(
    front: RainbowServer, hand: Hand, person: Person, record_property: Note
) -> None:
    path = f"/api/v1/clusters/{person.cluster.name}/queue?wait_seconds=50"

    def wait() -> tuple[Reply, float]:
        return get(front, path, bearer=person.cluster.secret), time.time()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        eventually(lambda: waiting.running())
        taken_at = hand.take(SECRET, person)
        reply, ended_at = waiting.result(timeout=PATIENCE_SECONDS)

    record_property("seconds", round(ended_at - taken_at, 2))
    assert reply.status == 401
    assert ended_at - taken_at < SECONDS_WITHOUT / 2


def test_rest_and_pages_refuse_a_disabled_person_at_once(front: RainbowServer, hand: Hand, person: Person) -> None:
    cookie = f"sessionid={person.session}"
    assert get(front, "/my/jobs/", Cookie=cookie).status == 200
    assert get(front, "/api/v1/me", bearer=person.personal).status == 200

    hand.take(THE_PERSON, person)

    assert get(front, "/my/jobs/", Cookie=cookie).status == 302
    assert get(front, "/api/v1/me", bearer=person.personal).status == 401


def test_a_call_of_another_person_is_left_alone(back: RainbowServer, hand: Hand, person: Person) -> None:
    with joined(back) as other:
        job_id = other.submit().jobid
        answers = other.stub.WatchJobs(
            pb.WatchJobsRequest(jobids=[job_id]), metadata=other.by_token, timeout=PATIENCE_SECONDS
        )
        next(answers)
        begun = Future[None]()
        ended(lambda: watch(back, person, "personal", begun), begun, lambda: hand.take(THE_PERSON, person))

        other.stub.CancelJobs(pb.CancelJobsRequest(jobids=[job_id]), metadata=other.by_token)

        assert [answer.job.state for answer in answers] == [pb.JOB_STATE_CANCELLED]


def test_a_person_revokes_a_token_by_rest(front: RainbowServer, back: RainbowServer, person: Person) -> None:
    begun = Future[None]()

    def revoke() -> float:
        (token,) = get(front, "/api/v1/me/tokens", bearer=person.personal).json
        revoked = post(front, f"/api/v1/me/tokens/{token['id']}/revoke", {}, bearer=person.personal)
        assert revoked.status == 204, revoked.body
        return time.time()

    refusal, seconds = ended(lambda: watch(back, person, "personal", begun), begun, revoke)

    assert refusal == DENIED
    assert seconds < SECONDS_WITHOUT / 2
