"""rainbow clusters."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from rainbow.client import Client
from rainbow.facts import Facts, Partition
from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Run, answer
from tests.support.rehearsed import Rehearse
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, eventually

FACTS = Facts(
    values={"site": "geneva", "data": ("imagenet", "coco"), "price": 2.5, "nasty": "\u202e\u202dx"},
    partitions=(
        Partition(
            name="batch",
            nodes=1000,
            cores_per_node=64,
            memory_mib_per_node=256 * 1024,
            gpus_per_node={"": 0},
            default=True,
        ),
        Partition(
            name="gpu",
            nodes=4,
            cores_per_node=48,
            gpus_per_node={"a100": 4},
            longest_seconds=43_200,
            max_nodes=2,
            features=("ib", "avx512"),
        ),
        Partition(name="gpu", nodes=2, gpus_per_node={"a100": 8}),
    ),
)

Tell = Callable[..., Any]


@pytest.fixture
def agent(server: RainbowServer, remote: Remote) -> Client:
    return Client(server.address, cluster=remote.name, secret=remote.secret)


def test_the_clusters_are_listed_with_what_they_have(rainbow: Run, remote: Remote, agent: Client) -> None:
    rainbow("submit", "--", "hostname")

    def is_seen() -> bool:
        # Of calls at the same time only one leaves a note of when the cluster asked.
        agent.request_jobs()
        return "yes, " in rainbow("clusters").stdout

    with agent:
        agent.report_jobs([], agent="login1", facts=FACTS)
        eventually(is_seen)

    head, line, *warnings = rainbow("clusters").stdout.splitlines()

    assert head.split() == ["NAME", "TAKES", "JOBS", "QUEUED", "OLDEST", "NODES", "CORES", "GPUS"]
    assert line.split()[0] == remote.name
    assert line.split()[-3:] == ["1,000", "64,000", "32"]
    assert warnings == []


def test_a_cluster_that_told_nothing_has_nothing_to_show(rainbow: Run, remote: Remote) -> None:
    _, line, warning = rainbow("clusters").stdout.splitlines()

    assert line.split() == [remote.name, "never", "asked", "0", "-", "-", "-", "-"]
    assert warning == f"Warning: {remote.name} has never asked for jobs"


def test_one_cluster_is_shown_with_all_that_it_has(rainbow: Run, remote: Remote, agent: Client) -> None:
    with agent:
        agent.report_jobs([], agent="login1", facts=FACTS, not_ready="no node")

    shown = rainbow("clusters", remote.name).stdout

    what, partitions, values = shown.split("\n\n")
    assert f"cluster:           {remote.name}" in what
    assert "not ready:         no node" in what
    rows = [line.split() for line in partitions.splitlines()[1:]]
    assert rows[0] == ["batch", "(default)", "1,000", "64", "256", "GiB", "0", "-", "-", "-"]
    assert rows[1] == ["gpu", "4", "48", "-", "4", "a100", "12h", "2", "ib,", "avx512"]
    assert rows[2] == ["gpu", "2", "-", "-", "8", "a100", "-", "-", "-"]
    assert "data:   imagenet, coco" in values
    assert "nasty:  \\u202e\\u202dx" in values


def test_clusters_come_as_json(rainbow: Run, remote: Remote, agent: Client) -> None:
    with agent:
        agent.report_jobs([], agent="login1", facts=FACTS)

    (listed,) = answer(rainbow("clusters", "--json"))["clusters"]
    alone = json.loads(rainbow("clusters", remote.name, "--json").stdout)

    assert listed == alone
    assert (alone["name"], alone["queued"], alone["facts"]["values"]["data"]) == (
        remote.name,
        0,
        ["imagenet", "coco"],
    )


def test_a_cluster_out_of_reach_is_not_found(rainbow: Run) -> None:
    result = rainbow("clusters", "missing")

    assert result.exit_code == 4
    assert result.stderr == "Error: missing: there is no such cluster in reach of this credential\n"


def test_a_pool_and_its_clusters_are_told_apart(
    stranger: Run, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_ago = Timestamp()
    an_hour_ago.FromDatetime(datetime.now(UTC) - timedelta(hours=1, seconds=1))
    clusters = [
        pb.Cluster(name="big", pool=True, queued=1_234, oldest_submitted_at=an_hour_ago),
        pb.Cluster(name="keebler", last_asked_at=an_hour_ago),
        pb.Cluster(name="oreo", not_ready="no node is up"),
        pb.Cluster(name="ritz", paused="maintenance", not_ready="no node is up"),
    ]
    server, _ = rehearse(pb.ListClustersResponse(clusters=clusters))
    monkeypatch.setenv("RAINBOW_HOST", server.address)
    monkeypatch.setenv("RAINBOW_TOKEN", "t")

    lines = stranger("clusters").stdout.splitlines()

    assert [" ".join(line.split()) for line in lines[1:]] == [
        "big (pool) never asked 1,234 1 hour ago - - -",
        "keebler silent, 1 hour ago 0 - - - -",
        "oreo not ready 0 - - - -",
        "ritz paused 0 - - - -",
    ]
