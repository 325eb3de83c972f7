"""For each call of the protocol, the worst that an honest caller may ask of a server that has much."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from benchmarks import requests
from benchmarks.cases import JOBS, Case, path_of
from benchmarks.worst_world import World
from rainbow import translation
from rainbow.protos import rainbow_pb2 as pb

# The most of one call.
_MOST_IDS, _MOST_LOOKED_UP, _MOST_REPORTS = 10_000, 1_000, 500
_ROOM = 8
# Ids that no job has.
_UNKNOWN = range(2_000_000_000, 2_000_000_000 + _MOST_IDS)
_NO_LABEL = {"nobody": "has it"}

Request = Callable[[World], Message]

# What is asked, whose credential it needs, and the request.
CALLS: dict[str, list[tuple[str, str, Request]]] = {
    "SubmitJob": [("into a long queue", "", lambda world: requests.submission(world.by_person))],
    "SubmitJobs": [("1,000 into a long queue", "personal", lambda world: _jobs(pb.SubmitJobsRequest, world, 1_000))],
    "PutInputs": [("60 KiB that are there", "personal", lambda world: _input(world))],
    "SubmitJobStream": [
        ("500 into a long queue", "personal", lambda world: _jobs(pb.SubmitJobStreamRequest, world, 500))
    ],
    "RequestJobs": [
        ("room for none that waits", "", lambda world: _request(world, _ROOM, wait_seconds=0)),
        ("a label that none has", "", lambda world: _labelled(world)),
        ("all that fit one answer", "", lambda world: requests.published_request(world.huge, jobs=0)),
    ],
    "AcceptJobs": [("10,000 that are not there", "", lambda world: requests.agents_acceptance(world.huge, _UNKNOWN))],
    "GetJobs": [
        (
            "1,000 of all ages, with events",
            "secret",
            lambda world: pb.GetJobsRequest(
                cluster=world.huge.name, jobids=_spread(world, _MOST_LOOKED_UP), with_events=True
            ),
        )
    ],
    "ListJobs": [
        ("of a rare state", "secret", lambda world: _listed(world, states=[pb.JOB_STATE_FAILED])),
        ("of a state that none is in", "secret", lambda world: _listed(world, states=[pb.JOB_STATE_LOST])),
        ("of a label that none has", "secret", lambda world: _listed(world, labels=_NO_LABEL)),
        ("of a name that none has", "secret", lambda world: _listed(world, name="nobody")),
        ("1,000", "secret", lambda world: _listed(world, page_size=1_000)),
        ("a person's", "personal", lambda world: _listed(world, page_size=JOBS)),
    ],
    "CancelJobs": [
        ("10,000 that are not there", "secret", lambda world: pb.CancelJobsRequest(jobids=_UNKNOWN)),
    ],
    "ResubmitJobs": [
        (
            "1,000 that are not there",
            "personal",
            lambda world: pb.ResubmitJobsRequest(cluster=world.huge.name, jobids=_UNKNOWN[:1_000]),
        )
    ],
    "GetGroup": [("of many", "personal", lambda world: pb.GetGroupRequest(cluster=world.huge.name, id=world.group))],
    "ListGroups": [("a person's", "personal", lambda world: pb.ListGroupsRequest(cluster=world.huge.name))],
    "SignalJobs": [
        (
            "1,000 that are not there",
            "secret",
            lambda world: pb.SignalJobsRequest(jobids=_UNKNOWN[:1_000], signal="USR1"),
        )
    ],
    "AwaitWishes": [("of which there are none", "secret", lambda world: pb.AwaitWishesRequest(agent=requests.AGENT))],
    "SummarizeJobs": [("", "secret", lambda world: pb.SummarizeJobsRequest(cluster=world.huge.name))],
    "ReportJobs": [
        (
            "500 that are not there",
            "secret",
            lambda world: requests.report(
                world.huge, [requests.still_running(job_id) for job_id in _UNKNOWN[:_MOST_REPORTS]]
            ),
        )
    ],
    "WatchJobs": [
        (
            "one that is over",
            "secret",
            lambda world: pb.WatchJobsRequest(cluster=world.huge.name, jobids=[world.failed]),
        )
    ],
    "ListClusters": [
        ("of a pool of 100", "pool", lambda world: pb.ListClustersRequest()),
        ("a person's", "personal", lambda world: pb.ListClustersRequest(cluster=world.huge.name)),
    ],
    "Register": [
        ("a name that is taken", "", lambda world: requests.registration("huge", world.server.registration_secret))
    ],
    "WhoAmI": [("", "personal", lambda world: pb.WhoAmIRequest())],
    "ListTokens": [("", "personal", lambda world: pb.ListTokensRequest())],
}
# Find what they are about by its key, whatever else there is.
BY_KEY = {
    "Serial", "Stream", "GetInput", "CancelGroup", "ReadOutput", "SendOutput", "RotateCredential",
    "ResumeCluster", "CreateToken", "RevokeToken", "RevokeLeaked", "BeginLogin", "CollectLogin",
}  # fmt: skip


def case(call: str, what: str, credential: str, request: Request, world: World, whose: str) -> Case:
    return Case(
        name=f"{call} {what}".strip() + f", {whose}",
        server=world.server,
        method=path_of(call),
        messages=lambda seconds: requests.keyed(request(world)),
        # Without an error: what is not there is no failure.
        is_right=lambda reply: True,
        metadata=requests.metadata(_credentials(world)[credential]),
    )


def _credentials(world: World) -> dict[str, str]:
    return {"": "", "secret": world.huge.secret, "personal": world.personal, "pool": world.pool.token}


def _jobs(kind: Callable[..., Message], world: World, number: int) -> Message:
    return kind(cluster=world.huge.name, jobs=[requests.job(requests.COMMAND)] * number)


def _input(world: World) -> Message:
    return pb.PutInputsRequest(cluster=world.huge.name, content=b"x" * 60 * 1024, last=True)


def _request(world: World, room: int, wait_seconds: int) -> Message:
    return requests.agents_request(world.huge, jobs=JOBS, room=room, wait_seconds=wait_seconds)


def _labelled(world: World) -> Message:
    return pb.RequestJobsRequest(
        cluster=world.huge.name, secret=world.huge.secret, maxJobs=JOBS, sent=translation.now(), labels=_NO_LABEL
    )


def _listed(world: World, **filters: Any) -> Message:
    return pb.ListJobsRequest(cluster=world.huge.name, **filters)


def _spread(world: World, number: int) -> list[int]:
    step = max(1, len(world.waiting) // number)
    return list(world.waiting[::step])[:number]
