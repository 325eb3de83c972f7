"""The IRI Facility API by Django's test client, each answer held against the published schema."""

import json
from functools import cache
from typing import Any

import yaml
from django.test import Client
from jsonschema_rs import Draft202012Validator

from tests.support.servers import ROOT

PUBLISHED = yaml.safe_load((ROOT / "tests" / "data" / "iri_facility_api.yaml").read_text())
PREFIX = "/iri"
PROBLEM = "application/problem+json"


class Facility:
    def __init__(self, bearer: str = "") -> None:
        self.client = Client(
            headers={"authorization": f"Bearer {bearer}"} if bearer else {}, raise_request_exception=False
        )

    def resources(self) -> Any:
        return self._call("GET", "/compute/resources", "/compute/resources")

    def launch(self, resource: str, spec: Any, **headers: str) -> Any:
        return self._call("POST", "/compute/job/{resource_id}", f"/compute/job/{resource}", spec, headers)

    def update(self, resource: str, job: object, spec: Any, **headers: str) -> Any:
        path = f"/compute/job/{resource}/{job}"
        return self._call("PUT", "/compute/job/{resource_id}/{job_id}", path, spec, headers)

    def job(self, resource: str, job: object, **query: object) -> Any:
        path = f"/compute/status/{resource}/{job}{_query(query)}"
        return self._call("GET", "/compute/status/{resource_id}/{job_id}", path)

    def jobs(self, resource: str, filters: Any = None, **query: object) -> Any:
        path = f"/compute/status/{resource}{_query(query)}"
        return self._call("POST", "/compute/status/{resource_id}", path, filters)

    def cancel(self, resource: str, job: object) -> Any:
        path = f"/compute/cancel/{resource}/{job}"
        return self._call("DELETE", "/compute/cancel/{resource_id}/{job_id}", path)

    def get(self, operation: str, path: str) -> Any:
        return self._call("GET", operation, path)

    def _call(
        self, method: str, operation: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        content = json.dumps(body) if body is not None else ""
        answer = self.client.generic(method, f"{PREFIX}/api/v2{path}", content, "application/json", headers=named)
        check(answer, PUBLISHED["paths"][f"/api/v2{operation}"][method.lower()])
        return answer


def check(answer: Any, operation: Any) -> None:
    """That the answer is one that the operation may give."""
    said = operation["responses"][str(answer.status_code)]
    if "content" not in said:
        assert not answer.content
        return
    if answer.status_code >= 400:
        assert answer["Content-Type"] == PROBLEM
    _validator(str(said["content"]["application/json"]["schema"])).validate(answer.json())


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator({**yaml.safe_load(schema), "components": PUBLISHED["components"]})


def _query(said: dict[str, object]) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in said.items()) if said else ""
