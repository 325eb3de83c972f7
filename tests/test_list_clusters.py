"""Which clusters a credential reaches, and what is told of them, over both APIs and by the client."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import grpc
import pytest

from clusters.callers import Caller
from clusters.models import Cluster
from clusters.services.pause import pause_cluster
from grpc_api.rpcs import messages
from grpc_api.rpcs.clusters import list_clusters
from jobs.services.pools import Member as PoolsMember
from jobs.services.report import report_jobs
from rainbow.client import Client
from rainbow.errors import InvalidArgument, NotFound, RainbowError
from rainbow.facts import Facts as ClientFacts
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import Member
from tests.support.pools import pool_of
from tests.support.queue import submitted
from tests.support.rest import Rest, puller, submitter
from tests.support.servers import RainbowServer
from tests.support.wire import Remote, refusal_of
from tests.test_facts import FULL

pytestmark = pytest.mark.django_db


def listed(caller: Caller, *, now: datetime, **wanted: Any) -> list[pb.Cluster]:
    return list(list_clusters(pb.ListClustersRequest(**wanted), caller, now).clusters)


def names(clusters: Sequence[pb.Cluster]) -> list[str]:
    return [cluster.name for cluster in clusters]


# Who reaches what


def test_a_credential_reaches_its_own_cluster_alone(alpha: Member, beta: Member, now: datetime) -> None:
    pool_of("alpha", now=now)

    assert names(listed(alpha.submitter, now=now)) == names(listed(alpha.puller, now=now)) == ["alpha"]


def test_the_token_of_a_pool_reaches_the_pool_and_its_clusters_in_order(
    alpha: Member, beta: Member, mallory: Member, now: datetime
) -> None:
    pool = pool_of("beta", PoolsMember(cluster="alpha", after_seconds=60), now=now)

    found = listed(pool.submitter, now=now)

    assert [(one.name, one.pool, one.after_seconds) for one in found] == [
        ("big", True, 0),
        ("beta", False, 0),
        ("alpha", False, 60),
    ]
    assert names(listed(pool.submitter, now=now, name="alpha")) == ["alpha"]
    for name in ("mallory", "missing"):
        with pytest.raises(NotFound) as refused:
            listed(pool.submitter, now=now, name=name)
        assert str(refused.value) == "name: there is no such cluster in reach of this credential"


# What is told


def test_how_a_cluster_fares_is_told(alpha: Member, now: datetime) -> None:
    submitted(alpha, 3, now=now - timedelta(hours=1))
    Cluster.objects.filter(name="alpha").update(last_asked_at=now)
    report_jobs(caller=alpha.puller, agent="a", reports=[], facts=FULL, not_ready="no node", now=now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="maintenance", by=None, now=now)

    (one,) = listed(alpha.submitter, now=now)

    assert (one.queued, one.paused, one.not_ready) == (3, "maintenance", "no node")
    assert one.oldest_submitted_at.ToDatetime() == (now - timedelta(hours=1)).replace(tzinfo=None)
    assert one.last_asked_at.ToDatetime() == one.facts_at.ToDatetime() == now.replace(tzinfo=None)
    assert [partition.name for partition in one.facts.partitions] == ["gpu", "dark"]


def test_of_each_cluster_of_a_pool_what_is_amiss_is_told(alpha: Member, beta: Member, now: datetime) -> None:
    Cluster.objects.filter(name="alpha").update(last_asked_at=now)
    pool = pool_of("alpha", "beta", now=now)
    submitted(alpha, 2, now=now)

    big, first, second = listed(pool.submitter, now=now)

    assert [one.queued for one in (big, first, second)] == [0, 2, 0]
    assert (first.warning, second.warning) == ("", "beta has never asked for jobs")
    assert big.last_asked_at == first.last_asked_at
    assert not second.HasField("last_asked_at") and not second.HasField("oldest_submitted_at")
    assert not big.HasField("facts_at")


# Pages


def test_a_page_ends_where_a_message_would_be_full(
    alpha: Member, beta: Member, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for member in (alpha, beta):
        report_jobs(caller=member.puller, agent="a", reports=[], facts=FULL, now=now)
    pool = pool_of("alpha", "beta", now=now)
    monkeypatch.setattr(messages, "REPLY_BUDGET", 300)

    pages, token, more = list[list[str]](), "", True
    while more:
        page = list_clusters(pb.ListClustersRequest(page_token=token), pool.submitter, now)
        pages.append(names(page.clusters))
        token, more = page.next_page_token, bool(page.next_page_token)

    assert list(chain(*pages)) == ["big", "alpha", "beta"]
    assert len(pages) > 1


@pytest.mark.parametrize("token", ["x", "-1", "1.0", "٣", "99999"])
def test_a_page_that_no_answer_named_is_refused(alpha: Member, now: datetime, token: str) -> None:
    with pytest.raises(InvalidArgument):
        listed(alpha.submitter, now=now, page_token=token)


# Over the wire


def test_a_stranger_lists_nothing(remote: Remote) -> None:
    refused = refusal_of(remote.stub.ListClusters, pb.ListClustersRequest())

    assert refused.code == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("credential", ["token", "secret"])
def test_the_client_lists_clusters(server: RainbowServer, remote: Remote, credential: str) -> None:
    known = {credential: getattr(remote, credential)}
    with Client(server.address, cluster=remote.name, **known) as client:
        (one,) = client.list_clusters()
        (same,) = client.list_clusters(name=remote.name)
        with pytest.raises(NotFound):
            client.list_clusters(name="missing")

    assert one == same
    assert (one.name, one.pool, one.queued, one.last_asked_at) == (remote.name, False, 0, None)
    assert (one.facts, one.facts_at) == (ClientFacts(), None)


@pytest.mark.parametrize(
    "page",
    [
        pb.ListClustersResponse(),
        pb.ListClustersResponse(clusters=[pb.Cluster(name="a")], next_page_token="1"),
        pb.ListClustersResponse(clusters=[pb.Cluster(name="a"), pb.Cluster(name="a")]),
        pb.ListClustersResponse(clusters=[pb.Cluster(name=str(number)) for number in range(1001)]),
    ],
    ids=["nothing", "for ever", "twice", "too many"],
)
def test_a_list_that_never_ends_is_refused(
    server: RainbowServer, remote: Remote, page: pb.ListClustersResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token) as client:
        monkeypatch.setattr(client, "_list_clusters", lambda **_: page)
        with pytest.raises(RainbowError, match="does not list each cluster once"):
            client.list_clusters()


# Over REST


def test_rest_lists_the_same(alpha: Member, beta: Member, mallory: Member, now: datetime) -> None:
    pool = pool_of("alpha", "beta", now=now)
    report_jobs(caller=beta.puller, agent="a", reports=[], facts=FULL, now=now)
    rest = Rest(pool.token)

    found = {one["name"]: one["facts"] for one in rest.get("clusters").json()}
    assert found.keys() == {"big", "alpha", "beta"}
    assert found["beta"]["values"]["site"] == "geneva"
    assert found["big"] == {"values": {}, "partitions": []}
    for name in ("beta", "mallory", "missing"):
        assert rest.get(f"clusters/{name}").status_code == 401
    assert [one["name"] for one in submitter(alpha).get("clusters").json()] == ["alpha"]
    assert puller(alpha).get("clusters/beta").status_code == 401


def test_the_list_of_an_operator_leaves_facts_out(alpha: Member, admin_client: Any, now: datetime) -> None:
    report_jobs(caller=alpha.puller, agent="a", reports=[], facts=FULL, now=now)

    (listed,) = admin_client.get("/api/v1/clusters").json()

    assert (listed["facts"], listed["facts_at"]) == (None, "2026-11-01T12:00:00Z")
    assert admin_client.get("/api/v1/clusters/alpha").json()["facts"]["values"]["site"] == "geneva"
