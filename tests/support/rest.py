"""The REST API by Django's test client, without a server."""

from typing import Any

from django.test import Client

from tests.conftest import Member

PROBLEM = "application/problem+json"


class Rest:
    """Calls with this bearer value; an empty one sends no header."""

    def __init__(self, bearer: str = "", **extra: Any) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        self.extra = extra

    def get(self, path: str, data: Any = None, **headers: str) -> Any:
        return self.client.get(f"/api/v1/{path}", data, headers=self._with(headers), **self.extra)

    def post(self, path: str, content: Any = None, **headers: str) -> Any:
        return self.client.post(
            f"/api/v1/{path}", content or {}, "application/json", headers=self._with(headers), **self.extra
        )

    def put(self, path: str, content: Any = None, **headers: str) -> Any:
        return self.client.put(
            f"/api/v1/{path}", content or {}, "application/json", headers=self._with(headers), **self.extra
        )

    def post_bytes(self, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> Any:
        return self.client.generic("POST", f"/api/v1/{path}", body, content_type, headers=self._with(headers))

    def _with(self, headers: dict[str, str]) -> dict[str, str]:
        return {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}


def submitter(member: Member) -> Rest:
    return Rest(member.token)


def puller(member: Member) -> Rest:
    return Rest(member.secret)


def problem_in(response: Any) -> dict[str, Any]:
    """The problem document of a refusal, checked for its form (RFC 9457)."""
    assert response["Content-Type"] == PROBLEM, response.content
    document: dict[str, Any] = response.json()
    assert document["type"] == "about:blank"
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    return document


def fields_at_fault(response: Any) -> list[str]:
    return [error["field"] for error in problem_in(response)["errors"]]
