"""Clusters that call the REST API of a running server."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import connected, new_name

JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    name: str
    token: str
    secret: str
    server: RainbowServer

    def submit_over_grpc(self, command: str) -> int:
        request = pb.SubmitJobRequest(cluster=self.name, token=self.token, nodes=1, command=command)
        with connected(self.server.address) as stub:
            return int(stub.SubmitJob(request, timeout=PATIENCE_SECONDS).jobid)


def registered(server: RainbowServer) -> Guest:
    name = new_name()
    new = post(server, "/api/v1/register", {"name": name}, bearer=server.registration_secret)
    assert new.status == 201, new.body
    return Guest(name=name, token=new.json["token"], secret=new.json["secret"], server=server)


def get(server: RainbowServer, path: str, *, bearer: str = "", **headers: str) -> Reply:
    return call(server, "GET", path, headers=_with_bearer(bearer, headers))


def post(server: RainbowServer, path: str, content: Any = None, *, bearer: str = "", **headers: str) -> Reply:
    body = b"" if content is None else json.dumps(content).encode()
    return call(server, "POST", path, body=body, headers={"Content-Type": JSON, **_with_bearer(bearer, headers)})


def call(
    server: RainbowServer, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Reply:
    connection = _connection(server)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, headers=names, body=response.read())
    finally:
        connection.close()


def _connection(server: RainbowServer) -> HTTPConnection:
    place = urlsplit(server.web).netloc
    if server.web.startswith("http://"):
        return HTTPConnection(place, timeout=PATIENCE_SECONDS)
    return HTTPSConnection(place, timeout=PATIENCE_SECONDS, context=server.trust)


def _with_bearer(value: str, headers: Mapping[str, str]) -> dict[str, str]:
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return {**given, **({"Authorization": f"Bearer {value}"} if value else {})}
