"""Anybody may read the schema: it costs the server next to nothing, and nothing in the query breaks it."""

import json

import pytest
import yaml
from django.test import Client

from rainbow_site.web import api_schema
from tests.support.servers import ROOT

CHECKED_IN = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(), yaml.CSafeLoader)


@pytest.fixture
def stranger() -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize(
    "query", ["", "?version=%0aX-Evil:%201", "?version=2&lang=../../etc", "?lang=%00", "?format=json"]
)
def test_the_schema_is_the_same_whatever_the_query_says(stranger: Client, query: str) -> None:
    answer = stranger.get(f"/api/schema{query}")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/vnd.oai.openapi"
    assert yaml.load(answer.content, yaml.CSafeLoader) == CHECKED_IN
    assert "X-Evil" not in answer.headers


def test_the_schema_is_json_for_whoever_accepts_that(stranger: Client) -> None:
    answer = stranger.get("/api/schema", headers={"Accept": "application/json"})

    assert json.loads(answer.content) == CHECKED_IN


def test_the_schema_is_made_once(stranger: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger.get("/api/schema")

    monkeypatch.setattr(api_schema, "SchemaGenerator", None)

    assert stranger.get("/api/schema?version=1").status_code == 200
