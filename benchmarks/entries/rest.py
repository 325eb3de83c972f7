"""The REST API, call by call, beside a view of REST framework that returns a constant."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import repeat
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from benchmarks.bench import Bench, Server
from benchmarks.cases import JOBS, Case
from benchmarks.cluster import Cluster, register
from benchmarks.http1 import WHOLE_REQUESTS
from benchmarks.measure import compare
from benchmarks.report import Report
from tests.support.rows import execute
from tests.support.servers import start_rainbow

RECORDS = 1_000_000
MANY, PAGE = 1_000, 100
SUBMIT, LIST = "submit", f"list {PAGE}"
# The waiting jobs are one in a hundred of the records.
_SHARE = 100
_PATIENCE_SECONDS = 300
_JOB = {"command": "hostname", "name": "hostname"}


def measure(bench: Bench) -> Report:
    running = start_rainbow(
        database_url=bench.databases.new(),
        log=bench.folder / "rest.log",
        with_web=True,
        environment={"DJANGO_SETTINGS_MODULE": "benchmarks.bare_settings", "RAINBOW_LOG_LEVEL": "WARNING"},
        manage=bench.manage,
    )
    grpc = Server(
        address=running.address,
        database_url=running.database_url,
        registration_secret=running.registration_secret,
        pid=running.process.pid,
        database_pid=bench.databases.pid,
        log=running.log,
    )
    try:
        listing, submitting = register(grpc, "lists"), register(grpc, "submits")
        _fill(grpc.database_url, listing.name)
        web = replace(grpc, address=urlsplit(running.web).netloc)
        rows = compare(_cases(web, listing, submitting), bench.plan)
    finally:
        running.stop()
    return Report(
        title=f"REST, while {RECORDS:,} jobs are on record",
        yardstick="bare",
        rows=rows,
        notes=[f"of these jobs {RECORDS // _SHARE:,} wait in the one cluster that is listed and looked at"],
    )


def _cases(web: Server, listing: Cluster, submitting: Cluster) -> list[Case]:
    def case(name: str, request: bytes, expected: bytes) -> Case:
        """An empty `expected`: that what the caller has is still right."""
        return Case(
            name=name,
            server=web,
            method=WHOLE_REQUESTS,
            messages=lambda seconds: repeat(request),
            is_right=lambda body: expected in body if expected else not body,
        )

    queue, jobs = f"/api/v1/clusters/{listing.name}/queue?max_jobs={JOBS}", "/api/v1/jobs"
    page = f"{jobs}?state=queued&page_size={PAGE}"
    seen = _request(web, page, listing.secret, header=f"If-None-Match: {_tag(web, page, listing.secret)}")
    return [
        case("bare view", _request(web, "/bare"), b"true"),
        case(SUBMIT, _request(web, jobs, submitting.token, _JOB), b'"position"'),
        case(f"submit {MANY:,}", _request(web, f"{jobs}/batch", submitting.token, {"jobs": [_JOB] * MANY}), b'"id"'),
        case(LIST, _request(web, page, listing.secret), b'"next":"http'),
        case(f"list {PAGE}, which the caller has", seen, b""),
        case(f"queue of {JOBS}", _request(web, queue, listing.secret), b'"attempt"'),
    ]


def _tag(web: Server, path: str, credential: str) -> str:
    request = Request(f"http://{web.address}{path}", headers={"Authorization": f"Bearer {credential}"})
    with urlopen(request, timeout=_PATIENCE_SECONDS) as answer:
        return str(answer.headers["ETag"])


def _request(web: Server, path: str, credential: str = "", content: Any = None, header: str = "") -> bytes:
    body = json.dumps(content).encode() if content else b""
    head = [
        f"{'POST' if content else 'GET'} {path} HTTP/1.1",
        f"Host: {web.address}",
        *([f"Authorization: Bearer {credential}"] if credential else []),
        *([header] if header else []),
        *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if content else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _fill(url: str, cluster: str) -> None:
    """Insert a cluster's records directly; the stored counts do not include them."""
    series = "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %s)"
    if url.startswith("postgresql"):
        series = "WITH s(i) AS (SELECT generate_series(1, %s))"
    at = datetime.now(UTC)
    execute(
        url,
        f"{series} INSERT INTO jobs_job (cluster_id, name, command, nodes, tasks, priority, time_limit_seconds, "
        "environment, working_directory, labels, on_lost, state, submitted_at, accepted_at, finished_at) "
        "SELECT c.id, 'hostname', 'hostname', 1, 0, 0, 0, '{}', '', '{}', 'keep', "
        f"CASE WHEN i - i / {_SHARE} * {_SHARE} = 0 THEN 'queued' ELSE 'completed' END, %s, %s, "
        f"CASE WHEN i - i / {_SHARE} * {_SHARE} = 0 THEN NULL ELSE %s END "
        "FROM s, clusters_cluster c WHERE c.name = %s",
        [RECORDS, at, at, at, cluster],
    )
    execute(url, "ANALYZE")
