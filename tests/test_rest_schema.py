"""The REST API is what its schema says: checked in, complete, and held against a live server by Schemathesis."""

import re
import subprocess
from http.cookiejar import CookieJar
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
import schemathesis
import yaml
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import MANAGE, ROOT, RainbowServer, environment_for
from tests.support.web import Guest, post, registered

FILE = ROOT / "docs" / "openapi.yaml"
DESCRIBED = yaml.load(FILE.read_text(), yaml.CSafeLoader)
# What each RPC is over REST.
OPERATIONS_OF_RPCS = {
    "Register": ["register_cluster"],
    "SubmitJob": ["submit_job"],
    "SubmitJobs": ["submit_jobs"],
    "PutInputs": ["put_input"],
    # Agents that speak REST alone are those of earlier releases, which take no such jobs.
    "GetInput": [],
    # HTTP has no answers in the middle of a request: one call for each batch.
    "SubmitJobStream": ["submit_jobs"],
    "ResubmitJobs": ["resubmit_job", "resubmit_job_to"],
    "RequestJobs": ["request_jobs"],
    "AcceptJobs": ["accept_jobs"],
    "ReportJobs": ["report_jobs"],
    "GetJobs": ["get_job", "list_events"],
    "ListJobs": ["list_jobs"],
    "CancelJobs": ["cancel_job", "cancel_jobs"],
    "SignalJobs": ["signal_job"],
    # An agent keeps this call open, which costs a web process a thread.
    "AwaitWishes": [],
    # The same for what it sends; and streams are for command lines: over REST an output comes in parts.
    "SendOutput": [],
    "ReadOutput": ["get_job_output"],
    # A web server's thread is too dear for an open stream: ask again with If-None-Match.
    "WatchJobs": ["get_job"],
    "GetGroup": ["get_group"],
    "ListGroups": ["list_groups"],
    "CancelGroup": ["cancel_group"],
    "SummarizeJobs": ["get_cluster", "list_clusters"],
    "ListClusters": ["list_clusters", "get_cluster"],
    "ResumeCluster": ["resume_cluster"],
    "RotateCredential": ["rotate_credential"],
    # They echo what they get, to try out a gRPC connection. Any HTTP client can be tried out on /healthz.
    "Serial": [],
    "Stream": [],
    "WhoAmI": ["get_me"],
    "ListTokens": ["list_tokens"],
    "CreateToken": ["create_token"],
    "RevokeToken": ["revoke_token"],
    # For command lines alone.
    "RevokeLeaked": [],
    "BeginLogin": [],
    "CollectLogin": [],
}
OPERATIONS = {
    operation["operationId"]: operation for methods in DESCRIBED["paths"].values() for operation in methods.values()
}
CALLS = [f"{method.upper()} {path}" for path, methods in DESCRIBED["paths"].items() for method in methods]
# Their requests have the fields of a job, as that of `submit_job`: of each such schema Schemathesis makes some five
# hundred cases before the first at random, in a quarter of a minute.
JOBS_TOO = {"submit_job_to", "submit_jobs", "submit_jobs_to", "resubmit_job", "resubmit_job_to"}
_IN_SHORT = (Phase.generate,)
_AT_LENGTH = (Phase.explicit, Phase.generate)


def name_of(call: str) -> str:
    method, path = call.split()
    return str(DESCRIBED["paths"][path][method.lower()]["operationId"])


def test_the_schema_is_fresh_valid_and_without_warnings(tmp_path: Path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "openapi.yaml"))

    assert (tmp_path / "openapi.yaml").read_text() == FILE.read_text(), "run `make docs`"


def test_what_grpc_can_do_rest_can() -> None:
    rpcs = [method.name for method in pb.DESCRIPTOR.services_by_name["RainbowScheduler"].methods]

    assert set(OPERATIONS_OF_RPCS) == set(rpcs)
    assert set(chain.from_iterable(OPERATIONS_OF_RPCS.values())) <= set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_does_and_for_whom(name: str) -> None:
    operation = OPERATIONS[name]

    assert operation["description"].strip()
    assert re.fullmatch(r"[A-Z][a-z]+( [a-z]+)*", operation["summary"])
    assert operation["security"]
    assert {"400", "401", "429", "503"} <= set(operation["responses"])


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if "requestBody" in operation])
def test_every_operation_with_a_body_has_an_example(name: str) -> None:
    assert OPERATIONS[name]["requestBody"]["content"]["application/json"]["examples"]


def test_swagger_ui_asks_nobody_else_for_anything(client: Client) -> None:
    page = client.get("/api/docs/")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())

    assert links
    assert all(link.startswith("/") for link in links)
    assert "script-src 'self';" in page["Content-Security-Policy"]
    assert all(client.get(link).status_code == 200 for link in links if link.startswith("/api/"))


@pytest.fixture(scope="module")
def guest(web_server: RainbowServer) -> Guest:
    member = registered(web_server)
    jobs = [{"command": "hostname", "labels": {"team": "physics"}}] * 20
    assert post(web_server, "/api/v1/jobs/batch", {"jobs": jobs}, bearer=member.token).status == 200
    return member


@pytest.fixture(scope="module")
def operator(web_server: RainbowServer) -> dict[str, str]:
    """The headers of a signed-in operator."""
    environment = environment_for(web_server.database_url, DJANGO_SUPERUSER_PASSWORD="for-the-tests-only")
    words = ["createsuperuser", "--noinput", "--username=ada", "--email=ada@localhost"]
    subprocess.run([*MANAGE, *words], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_SECONDS)
    cookies = CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))
    opener.open(f"{web_server.web}/admin/login/", timeout=PATIENCE_SECONDS).close()
    form = {"username": "ada", "password": "for-the-tests-only", "csrfmiddlewaretoken": value_of(cookies, "csrftoken")}
    opener.open(
        f"{web_server.web}/admin/login/?next=/healthz", urlencode(form).encode(), timeout=PATIENCE_SECONDS
    ).close()
    token = value_of(cookies, "csrftoken")
    return {"Cookie": f"sessionid={value_of(cookies, 'sessionid')}; csrftoken={token}", "X-CSRFToken": token}


@pytest.fixture(scope="session")
def described() -> Any:
    load_all_checks()
    return schemathesis.openapi.from_dict(DESCRIBED)


def value_of(cookies: CookieJar, name: str) -> str:
    return next(cookie.value or "" for cookie in cookies if cookie.name == name)


@pytest.mark.parametrize("call", CALLS)
def test_the_live_server_keeps_to_the_schema(described: Any, call: str, guest: Guest, operator: dict[str, str]) -> None:
    """All checks of Schemathesis, with the exceptions below; of requests that are a job like another's, in short."""
    keep_to_the_schema(described, call, guest, operator, phases=_IN_SHORT if name_of(call) in JOBS_TOO else _AT_LENGTH)


@pytest.mark.long
@pytest.mark.parametrize("call", [call for call in CALLS if name_of(call) in JOBS_TOO])
def test_the_live_server_keeps_to_the_schema_of_a_job_wherever_it_stands(
    described: Any, call: str, guest: Guest, operator: dict[str, str]
) -> None:
    keep_to_the_schema(described, call, guest, operator, phases=_AT_LENGTH)


def keep_to_the_schema(
    described: Any, call: str, guest: Guest, operator: dict[str, str], *, phases: tuple[Phase, ...]
) -> None:
    """`schema.parametrize()` would make the cases while tests are collected: seconds of each process of each run."""

    @settings(max_examples=settings().max_examples // 8, phases=phases, suppress_health_check=list(HealthCheck))
    def check(case: Any, guest: Guest, operator: dict[str, str]) -> None:
        keeps_to_the_schema(case, guest, operator)

    method, path = call.split()
    test = build_operation_test(
        config=described.config,
        operation=described[path][method],
        test_func=check,
        given_kwargs={},
        feedback=FeedbackSources(),
    )

    test(guest=guest, operator=operator)


def keeps_to_the_schema(case: Any, guest: Guest, operator: dict[str, str]) -> None:
    # So many bad credentials in a minute would be throttled; test_rest_throttling.py looks at that.
    execute(guest.server.database_url, "DELETE FROM clusters_failedattempts")
    if case.meta.generation.mode.is_positive:
        send_home(case, guest)

    headers = credentials_for(case, guest, operator)
    case.call_and_validate(
        base_url=guest.server.web, headers=headers, excluded_checks=inapplicable_to(case), timeout=PATIENCE_SECONDS
    )


def send_home(case: Any, guest: Guest) -> None:
    """To the guest's own cluster, and without a minute's wait for jobs."""
    if "cluster" in case.path_parameters:
        case.path_parameters["cluster"] = guest.name
    if "wait_seconds" in case.query:
        case.query["wait_seconds"] = 0


def credentials_for(case: Any, guest: Guest, operator: dict[str, str]) -> dict[str, str]:
    who = [name for scheme in case.operation.definition.raw["security"] for name in scheme]
    if who == ["operator"] or "person" in who:
        # Where the cookie is what is wrong with the call, the right one must not be put in its place.
        at_fault = getattr(case.meta.phase.data, "parameter_location", None)
        wrong_cookie = case.meta.generation.mode.is_negative and at_fault == ParameterLocation.COOKIE
        return {} if wrong_cookie else operator
    values = {"registration_secret": guest.server.registration_secret, "token": guest.token, "secret": guest.secret}
    return {"Authorization": f"Bearer {next(value for name, value in values.items() if name in who)}"}


def inapplicable_to(case: Any) -> list[Any]:
    """What a check would find that is as it should be."""
    return {
        # `expires_at` has to lie in the future, which no schema can say: some data that it calls good is refused.
        "create_credential": [positive_data_acceptance],
        # Nor can it say which needs the clusters can meet, and which fields go together.
        "submit_job": [positive_data_acceptance],
        "submit_job_to": [positive_data_acceptance],
        # Nor how the names of a person's agents begin, and of a cluster's do not.
        "accept_jobs": [positive_data_acceptance],
        "report_jobs": [positive_data_acceptance],
        # Nor that a file is named where the source is one, and only there.
        "get_job_output": [positive_data_acceptance],
        # Nor how many days may be between two.
        "get_usage": [positive_data_acceptance],
        # The session is sent with these also where the check leaves the bearer out.
        "get_me": [ignored_auth],
        "get_my_usage": [ignored_auth, positive_data_acceptance],
        "list_tokens": [ignored_auth],
        "revoke_token": [ignored_auth],
        # And a token for a project has to name it.
        "create_token": [ignored_auth, positive_data_acceptance],
        # A job that breaks a rule is refused by itself, in an answer of 200 that says what became of each.
        "submit_jobs": [negative_data_rejection],
        "submit_jobs_to": [negative_data_rejection],
    }.get(case.operation.definition.raw["operationId"], [])
