"""An agent says what its cluster has: over both APIs, kept whole, with an event where it differs."""

from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest

from clusters.facts import MAX_PARTITIONS, MAX_VALUES, Facts, Partition
from clusters.models import Cluster, ClusterEvent, ClusterWhat
from clusters.parsed_facts import ParsedFacts
from clusters.services.facts import CHANGE_EVERY, differences
from grpc_api.rpcs.cluster_messages import FACTS_LIMIT, facts_from, facts_to_message
from jobs.models import Job
from jobs.reports import AgentReport, Report
from jobs.services.accept import accept_jobs
from jobs.services.report import report_jobs, report_jobs_batch
from jobs.states import JobState
from rainbow.errors import FailedPrecondition, InvalidArgument
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import fields_at_fault, problem_in, puller, submitter
from tests.support.wire import Remote, refusal_of
from tests.test_facts import FULL

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=1)


def told(member: Member, facts: Facts | None, *, now: datetime) -> None:
    report_jobs(caller=member.puller, agent="login-1", reports=[], facts=facts, now=now)


def facts_of(member: Member) -> tuple[Facts, datetime | None]:
    cluster = Cluster.objects.get(id=member.cluster.id)
    return Facts.read(cluster.facts), cluster.facts_at


def events_of(member: Member) -> list[tuple[str, str]]:
    found = ClusterEvent.objects.filter(cluster=member.cluster, what=ClusterWhat.FACTS_CHANGED).order_by("id")
    return [(event.who, event.why) for event in found]


# As the services have it


def test_a_cluster_has_told_nothing_at_first(alpha: Member) -> None:
    assert facts_of(alpha) == (Facts(), None)


def test_facts_are_kept_with_their_time_and_an_event(alpha: Member, beta: Member, now: datetime) -> None:
    told(alpha, FULL, now=now)

    assert facts_of(alpha) == (FULL, now)
    assert events_of(alpha) == [("secret default", "data, price, racks, site; partition dark; partition gpu")]
    assert facts_of(beta) == (Facts(), None)


def test_the_same_facts_again_are_noted_and_are_no_event(alpha: Member, now: datetime) -> None:
    told(alpha, FULL, now=now)
    told(alpha, FULL, now=now + LATER)

    assert facts_of(alpha) == (FULL, now + LATER)
    assert len(events_of(alpha)) == 1


def test_a_report_without_facts_leaves_them(alpha: Member, now: datetime) -> None:
    told(alpha, FULL, now=now)
    told(alpha, None, now=now + LATER)

    assert facts_of(alpha) == (FULL, now)


def test_facts_are_replaced_whole(alpha: Member, now: datetime) -> None:
    told(alpha, FULL, now=now)
    told(alpha, Facts(values={"site": "lyon"}), now=now + LATER)
    told(alpha, Facts(), now=now + 2 * LATER)

    assert facts_of(alpha) == (Facts(), now + 2 * LATER)
    assert [why for _, why in events_of(alpha)[1:]] == [
        "data, price, racks, site; partition dark; partition gpu",
        "site",
    ]


def test_facts_beyond_the_bounds_change_nothing(alpha: Member, now: datetime) -> None:
    with pytest.raises(InvalidArgument) as refused:
        told(alpha, Facts(values={"site": "a\nb"}), now=now)

    assert refused.value.field == "facts.values.site"
    assert facts_of(alpha) == (Facts(), None)


def test_facts_change_at_most_every_ten_seconds(alpha: Member, beta: Member, now: datetime) -> None:
    (job_id,) = submitted(alpha, now=now)
    other, soon = Facts(values={"site": "lyon"}), now + CHANGE_EVERY - timedelta(seconds=3)
    told(alpha, FULL, now=now)
    told(alpha, FULL, now=soon)
    accept_jobs(caller=alpha.puller, job_ids=[job_id], agent="login-1", now=now)

    running = [Report(job_id=job_id, attempt=1, state=JobState.RUNNING)]
    with pytest.raises(FailedPrecondition) as refused:
        report_jobs(caller=alpha.puller, agent="login-1", reports=running, facts=other, now=soon)
    told(beta, other, now=soon)

    assert str(refused.value) == (
        "facts: may change once in 10 seconds; report them again in 3, and nothing was noted of this report"
    )
    assert (facts_of(alpha), Job.objects.get(id=job_id).state) == ((FULL, soon), JobState.ACCEPTED)
    told(alpha, other, now=now + CHANGE_EVERY)
    assert facts_of(alpha)[0] == other


def test_facts_that_alternate_hold_up_no_report_of_another_cluster(alpha: Member, beta: Member, now: datetime) -> None:
    told(alpha, FULL, now=now)
    reports = [
        AgentReport(caller=member.puller, agent="login-1", reports=[], facts=Facts(values={"site": "lyon"}))
        for member in (alpha, beta)
    ]

    refused, taken = report_jobs_batch(agent_reports=reports, now=now)

    assert isinstance(refused, FailedPrecondition)
    assert taken == []
    assert facts_of(beta)[0].values == {"site": "lyon"}


def test_facts_are_parsed_once_until_others_are_told(
    alpha: Member, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed, read = list[object](), Facts.read
    monkeypatch.setattr(Facts, "read", lambda said: parsed.append(said) or read(said))
    kept = ParsedFacts()
    told(alpha, FULL, now=now)
    parsed.clear()

    found = [kept.of([alpha.cluster.id])[alpha.cluster.id] for _ in range(3)]

    assert (found, len(parsed)) == ([FULL] * 3, 1)
    told(alpha, Facts(), now=now + LATER)
    assert kept.of([alpha.cluster.id]) == {alpha.cluster.id: Facts()}


def test_so_many_parsed_facts_are_kept_and_no_more(alpha: Member, beta: Member, now: datetime) -> None:
    kept = ParsedFacts(most=1)
    for member in (alpha, beta):
        told(member, FULL, now=now)

    for _ in range(2):
        assert kept.of([alpha.cluster.id, beta.cluster.id]) == {alpha.cluster.id: FULL, beta.cluster.id: FULL}
    assert len(kept) == 1


def test_what_differs_is_named_and_cut_to_a_reason() -> None:
    before = Facts(values={"a": 1, "b": 2}, partitions=(Partition(name="p", nodes=1), Partition(name="q")))
    after = Facts(values={"b": 2, "a": 3}, partitions=(Partition(name="q"), Partition(name="p", nodes=2)))
    many = Facts(values={f"name{number}": 1 for number in range(256)})

    assert differences(before, after) == "a; partition p"
    assert len(differences(Facts(), many)) == 1000


# Over gRPC


def test_a_message_and_facts_are_the_same() -> None:
    assert facts_from(facts_to_message(FULL)) == FULL


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ([pb.Fact(name="a", number=1), pb.Fact(name="a", number=2)], "facts.values"),
        ([pb.Fact(name="a", number=1, text="b")], "facts.values"),
        ([pb.Fact(name="a", text="b", texts=["c"])], "facts.values"),
        ([pb.Fact(name="a", number=1, texts=["c"])], "facts.values"),
        ([pb.Fact(name="a", number=float("nan"))], "facts.values.a"),
        ([pb.Fact(name="")], "facts.values"),
        ([pb.Fact(name="\x1f", number=1, text="b")], "facts.values"),
        ([pb.Fact(name=str(number)) for number in range(MAX_VALUES + 1)], "facts.values"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(remote: Remote, values: list[pb.Fact], field: str) -> None:
    request = pb.ReportJobsRequest(agent="login-1", facts=pb.Facts(values=values))

    refused = refusal_of(remote.stub.ReportJobs, request, metadata=remote.by_secret)

    assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize("count", [MAX_PARTITIONS + 1, FACTS_LIMIT, FACTS_LIMIT * 10])
def test_too_many_partitions_are_refused_before_they_are_looked_at(remote: Remote, count: int) -> None:
    facts = pb.Facts(partitions=[pb.Partition()] * count)

    request = pb.ReportJobsRequest(agent="login-1", facts=facts)
    refused = refusal_of(remote.stub.ReportJobs, request, metadata=remote.by_secret)

    assert (refused.code, refused.field.partition(".")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, "facts")


def test_a_token_tells_no_facts(remote: Remote) -> None:
    request = pb.ReportJobsRequest(agent="login-1", facts=pb.Facts())

    refused = refusal_of(remote.stub.ReportJobs, request, metadata=remote.by_token)

    assert refused.code == grpc.StatusCode.UNAUTHENTICATED


# Over REST

SAID: dict[str, Any] = {
    "values": {"site": "geneva", "racks": 12, "price": 2.5, "data": ["imagenet", "coco"]},
    "partitions": [{"name": "gpu", "nodes": 4, "gpus_per_node": {"a100": 4}, "default": True, "features": ["ib"]}],
}


def test_rest_takes_facts_and_shows_them(alpha: Member) -> None:
    rest = puller(alpha)

    rest.post("clusters/alpha/report", {"agent": "login-1", "reports": [], "facts": SAID})
    shown = submitter(alpha).get("clusters/alpha").json()

    assert shown["facts"]["values"] == SAID["values"]
    assert shown["facts"]["partitions"] == [
        {
            "name": "gpu",
            "nodes": 4,
            "cores_per_node": 0,
            "memory_mib_per_node": 0,
            "gpus_per_node": {"a100": 4},
            "longest_seconds": 0,
            "max_nodes": 0,
            "default": True,
            "features": ["ib"],
        }
    ]
    assert shown["facts_at"]
    assert rest.get("clusters").json() == [shown]


def test_rest_without_facts_leaves_them(alpha: Member) -> None:
    rest = puller(alpha)
    for facts in ({"facts": SAID}, {}, {"facts": None}):
        assert rest.post("clusters/alpha/report", {"agent": "login-1", "reports": [], **facts}).status_code == 200

    assert rest.get("clusters/alpha").json()["facts"]["values"] == SAID["values"]


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ([], "facts"),
        ({"later": 1}, "facts.later"),
        ({"values": {"a": {"b": 1}}}, "facts.values"),
        ({"values": {"a": True}}, "facts.values"),
        ({"values": {"a": None}}, "facts.values"),
        ({"values": {"a": [1]}}, "facts.values"),
        ({"values": {"a": "b\nc"}}, "facts.values.a"),
        ({"values": {"a": 10**400}}, "facts.values.a"),
        ({"values": {"ä": 1}}, "facts.values"),
        ({"partitions": [{}]}, "facts.partitions.0.name"),
        ({"partitions": [{"name": "p", "nodes": -1}]}, "facts.partitions.0.nodes"),
        ({"partitions": [{"name": "p", "gpus_per_node": {"a": "4"}}]}, "facts.partitions.0.gpus_per_node.a"),
        ({"partitions": [{"name": "p"}] * 257}, "facts.partitions"),
    ],
)
def test_rest_refuses_facts_that_cannot_be_by_name(alpha: Member, facts: Any, field: str) -> None:
    answer = puller(alpha).post("clusters/alpha/report", {"agent": "login-1", "reports": [], "facts": facts})

    assert problem_in(answer)["status"] == 400
    assert any(name.startswith(field) for name in fields_at_fault(answer)), fields_at_fault(answer)
    assert facts_of(alpha) == (Facts(), None)
