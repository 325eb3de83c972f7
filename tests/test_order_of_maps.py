"""Maps come in the order of their names wherever JSON is made of them: on the wire they have none."""

import json
from typing import Any

import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.rehearsed import Rehearse
from tests.support.rest import puller, submitter
from tests.support.wire import Remote

# PostgreSQL's jsonb would have them by length, and protobuf by chance.
NAMES = sorted(f"N{'x' * (7 * number % 11)}_{number:02}" for number in range(16))
PAIRS = dict.fromkeys(reversed(NAMES), "1")
LINE = json.dumps({"id": 1, "cluster": "keebler", "name": "n", "nodes": 1, "tasks": 0, "command": "a", "labels": PAIRS})


def test_a_cluster_gets_them_in_order(remote: Remote) -> None:
    remote.submit(environment=PAIRS, labels=PAIRS)

    (line,) = remote.request().jobs.values()

    assert [list(json.loads(line)[name]) for name in ("environment", "labels")] == [NAMES, NAMES]


@pytest.mark.django_db
def test_rest_tells_them_in_order(alpha: Any) -> None:
    number = submitter(alpha).post("jobs", {"command": "a", "environment": PAIRS, "labels": PAIRS}).json()["id"]

    job = puller(alpha).get(f"jobs/{number}").json()
    (queued,) = puller(alpha).get("clusters/alpha/queue").json()["jobs"]

    assert [list(shown[name]) for shown in (job, queued) for name in ("environment", "labels")] == [NAMES] * 4


def test_the_client_has_them_in_order(rehearse: Rehearse) -> None:
    job = pb.Job(id=1, environment=PAIRS, labels=PAIRS)
    _, client = rehearse(pb.GetJobsResponse(jobs=[job]), pb.RequestJobsResponse(status=1, jobs={1: LINE}))

    (found,), (waiting,) = client.get_jobs([1]).jobs, client.request_jobs().jobs

    assert [list(pairs) for pairs in (found.environment, found.labels, waiting.labels)] == [NAMES] * 3
