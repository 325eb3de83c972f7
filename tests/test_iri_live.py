"""The IRI Facility API of a live server, held against the published schema by Schemathesis, and raced."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.facility import PROBLEM, PUBLISHED
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.web import Guest, Reply, post, registered

CALLS = [f"{method.upper()} {path}" for path, methods in PUBLISHED["paths"].items() for method in methods]

# What their bodies say that has no meaning here is refused by its name, which the schema does not (docs/iri.md).
REFUSE_MORE = {
    "POST /api/v2/compute/job/{resource_id}",
    "PUT /api/v2/compute/job/{resource_id}/{job_id}",
    "POST /api/v2/compute/status/{resource_id}",
}


@pytest.fixture(scope="module")
def guest(web_server: RainbowServer) -> Guest:
    """A cluster with a job that waits."""
    member = registered(web_server)
    launched = post(web_server, f"/iri/api/v2/compute/job/{member.name}", {"executable": "true"}, bearer=member.token)
    assert launched.status == 200, launched.body
    return member


@pytest.fixture(scope="session")
def described() -> Any:
    load_all_checks()
    return schemathesis.openapi.from_dict({**PUBLISHED, "paths": dict(paths_with_problems())})


def paths_with_problems() -> Iterator[tuple[str, Any]]:
    """What it calls JSON in refusals are problem documents, which have a type of their own (RFC 9457)."""
    for path, methods in deepcopy(PUBLISHED["paths"]).items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400" and "content" in answer:
                    answer["content"] = {PROBLEM: answer["content"]["application/json"]}
        yield path, methods


@pytest.mark.parametrize("call", CALLS)
def test_the_live_server_keeps_to_the_published_schema(described: Any, call: str, guest: Guest) -> None:
    @settings(
        max_examples=settings().max_examples // 8,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any, guest: Guest) -> None:
        keeps_to_the_schema(case, guest)

    method, path = call.split()
    test = build_operation_test(
        config=described.config,
        operation=described[path][method],
        test_func=check,
        given_kwargs={},
        feedback=FeedbackSources(),
    )

    test(guest=guest)


def keeps_to_the_schema(case: Any, guest: Guest) -> None:
    # So many bad credentials in a minute would be throttled.
    execute(guest.server.database_url, "DELETE FROM clusters_failedattempts")
    if getattr(case.meta.phase.data, "parameter_location", None) != ParameterLocation.PATH:
        for name in case.path_parameters.keys() & {"resource_id", "site_id"}:
            case.path_parameters[name] = guest.name
    case.call_and_validate(
        base_url=f"{guest.server.web}/iri",
        headers={"Authorization": f"Bearer {guest.token}"},
        excluded_checks=[positive_data_acceptance] if case.operation.label in REFUSE_MORE else [],
        timeout=PATIENCE_SECONDS,
    )


def test_launches_by_one_key_at_once_make_one_job(web_server: RainbowServer, guest: Guest) -> None:
    """Also where they come to several processes of the server: the answer is the same, or to come again in a moment."""
    spec = {"executable": "true", "name": "once"}
    path = f"/iri/api/v2/compute/job/{guest.name}"

    def launched(number: int) -> Reply:
        body = spec if number % 4 else {**spec, "name": "another"}
        return post(web_server, path, body, bearer=guest.token, **{"Idempotency-Key": "at-once"})

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(launched, range(1, 32)))

    assert {reply.status for reply in replies} <= {200, 409, 422}
    assert len({reply.json["id"] for reply in replies if reply.status == 200}) == 1
    assert all(int(reply.headers["retry-after"]) > 0 for reply in replies if reply.status == 409)
