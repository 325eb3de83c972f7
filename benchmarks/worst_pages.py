"""For each address of REST and each page, the worst that it may be asked on a server that has much."""

from collections.abc import Callable, Iterator
from itertools import cycle, repeat
from typing import Any

from benchmarks.pages import Page
from benchmarks.worst_world import World

_NONE = "label=nobody%3Dhas"
_LATE = "last={middle}"

# The most that one request may name, and as many as a page lists.
_MOST_IDS, _MANY, _LISTED = 10_000, 1_000, 100
_UNKNOWN = list(range(2_000_000_000, 2_000_000_000 + _MOST_IDS))

# By the rows of docs/who-may.md: what is asked, and the address. {middle} is a job in the middle of its queue.
PAGES: dict[str, list[tuple[str, str]]] = {
    "GET /api/v1/me": [("", "/api/v1/me")],
    "GET /api/v1/me/tokens": [("", "/api/v1/me/tokens")],
    "GET /api/v1/me/usage": [("", "/api/v1/me/usage")],
    "GET /api/v1/clusters": [("1,000", "/api/v1/clusters")],
    "GET /api/v1/clusters/<cluster:cluster>": [("", "/api/v1/clusters/huge")],
    "GET /api/v1/clusters/<cluster:cluster>/events": [("", "/api/v1/clusters/huge/events")],
    "GET /api/v1/clusters/<cluster:cluster>/credentials": [("", "/api/v1/clusters/huge/credentials")],
    "GET /api/v1/clusters/<cluster:cluster>/queue": [("1,000", "/api/v1/clusters/huge/queue?max_jobs=1000")],
    "GET /api/v1/pools": [("", "/api/v1/pools")],
    "GET /api/v1/pools/<cluster:pool>": [("of 100 clusters", "/api/v1/pools/pool")],
    "GET /api/v1/usage": [("", "/api/v1/usage")],
    "GET /api/v1/groups": [("", "/api/v1/groups"), ("that are going", "/api/v1/groups?going=true")],
    "GET /api/v1/groups/<int:group>": [("of many", "/api/v1/groups/{group}")],
    "GET /api/v1/projects/<cluster:project>/webhooks": [("", "/api/v1/projects/worst/webhooks")],
    "GET /api/v1/jobs": [
        ("of a rare state", "/api/v1/jobs?state=failed"),
        ("of a state that none is in", "/api/v1/jobs?state=lost"),
        ("of a label that none has", f"/api/v1/jobs?{_NONE}"),
        ("of a name that none has", "/api/v1/jobs?name=nobody"),
        ("of a credential that submitted none", "/api/v1/jobs?submitted_by=2147483647"),
        ("oldest first", "/api/v1/jobs?ordering=id"),
        ("before a late time", "/api/v1/jobs?submitted_before=2099-01-01T00:00:00Z&state=failed"),
        ("a late page", "/api/v1/jobs?cursor={middle}"),
    ],
    "GET /api/v1/jobs/<int:job>": [("in the middle of its queue", "/api/v1/jobs/{middle}")],
    "GET /api/v1/jobs/<int:job>/events": [("", "/api/v1/jobs/{middle}/events")],
    "GET /iri/api/v2/compute/resources": [("", "/iri/api/v2/compute/resources")],
    "GET /iri/api/v2/compute/status/<cluster:cluster>/<str:job>": [
        ("in the middle of its queue", "/iri/api/v2/compute/status/huge/{middle}")
    ],
    "GET /iri/api/v2/status/resources/<cluster:cluster>": [("", "/iri/api/v2/status/resources/huge")],
    "GET /iri/api/v2/facility/sites/<cluster:cluster>": [("", "/iri/api/v2/facility/sites/huge")],
    "GET /": [("", "/")],
    "GET /my/": [("", "/my/")],
    "GET /my/jobs/": [
        ("of a rare state", "/my/jobs/?state=failed"),
        ("of a state that none is in", "/my/jobs/?state=lost"),
        ("with a label that none has", f"/my/jobs/?{_NONE}"),
        ("with a text that none has", "/my/jobs/?text=nosuchtext"),
        ("a late page", f"/my/jobs/?{_LATE}"),
    ],
    "GET /my/jobs/cancel/": [("one", "/my/jobs/cancel/?job={middle}")],
    "GET /my/jobs/<int:job_id>/": [("in the middle of its queue", "/my/jobs/{middle}/")],
    "GET /my/jobs/<int:job_id>/resubmit/": [("", "/my/jobs/{middle}/resubmit/")],
    "GET /my/groups/": [("", "/my/groups/"), ("that are going", "/my/groups/?going=1")],
    "GET /my/groups/<int:group_id>/": [("of many", "/my/groups/{group}/")],
    "GET /my/groups/<int:group_id>/cancel/": [("of many", "/my/groups/{group}/cancel/")],
    "GET /my/usage/": [("", "/my/usage/")],
    "GET /my/clusters/": [("", "/my/clusters/")],
    "GET /my/clusters/<cluster:name>/": [("", "/my/clusters/huge/")],
    "GET /my/tokens/": [("", "/my/tokens/")],
    "GET /my/projects/": [("", "/my/projects/")],
    "GET /my/projects/<cluster:name>/": [("", "/my/projects/worst/")],
    "GET /healthz": [("", "/healthz")],
    "GET /readyz": [("", "/readyz")],
    "GET /admin/": [("", "/admin/")],
    "GET /admin/auth/user/": [("", "/admin/auth/user/")],
    "GET /admin/clusters/project/": [("", "/admin/clusters/project/")],
    "GET /admin/clusters/cluster/": [
        ("1,000", "/admin/clusters/cluster/"),
        ("with a text that none has", "/admin/clusters/cluster/?text=nosuchtext"),
    ],
    "GET /admin/clusters/cluster/<path:object_id>/change/": [("", "/admin/clusters/cluster/{cluster}/change/")],
    "GET /admin/clusters/cluster/<int:pool_id>/members/": [("", "/admin/clusters/cluster/{pool}/members/")],
    "GET /admin/jobs/job/": [
        ("of a rare state", "/admin/jobs/job/?state=failed"),
        ("of a state that none is in", "/admin/jobs/job/?state=lost"),
        ("with a label that none has", f"/admin/jobs/job/?{_NONE}"),
        ("with a text that none has", "/admin/jobs/job/?text=nosuchtext"),
        ("of a cluster", "/admin/jobs/job/?cluster={cluster}"),
        ("a late page", f"/admin/jobs/job/?{_LATE}"),
    ],
    "GET /admin/jobs/job/groups/": [
        ("", "/admin/jobs/job/groups/"),
        ("that are going", "/admin/jobs/job/groups/?going=1"),
    ],
    "GET /admin/jobs/webhook/": [("", "/admin/jobs/webhook/")],
    "GET /admin/jobs/job/groups/<int:group_id>/": [("of many", "/admin/jobs/job/groups/{group}/")],
    "GET /admin/jobs/job/groups/<int:group_id>/cancel/": [("of many", "/admin/jobs/job/groups/{group}/cancel/")],
    "GET /admin/jobs/job/act/<kind>/": [("a page of them", "/admin/jobs/job/act/cancel/?{listed}")],
    "GET /admin/clusters/cluster/act/<verb>/": [("", "/admin/clusters/cluster/act/pause/?cluster={cluster}")],
    "GET /admin/clusters/cluster/<path:object_id>/history/": [("", "/admin/clusters/cluster/{cluster}/history/")],
    "GET /admin/clusters/project/<path:object_id>/history/": [("", "/admin/clusters/project/1/history/")],
    "GET /admin/auth/user/<path:object_id>/history/": [("", "/admin/auth/user/1/history/")],
    "GET /admin/auth/user/<path:object_id>/change/": [("", "/admin/auth/user/1/change/")],
    "GET /admin/auth/user/<int:person_id>/person/": [("", "/admin/auth/user/1/person/")],
    "GET /admin/clusters/project/<path:object_id>/change/": [("", "/admin/clusters/project/1/change/")],
    "GET /admin/jobs/job/<path:object_id>/history/": [("", "/admin/jobs/job/{middle}/history/")],
    "GET /admin/jobs/job/bulk/begin/<kind>/": [
        ("all that wait", "/admin/jobs/job/bulk/begin/cancel/?state=queued&cluster={cluster}"),
        ("with a text that none has", "/admin/jobs/job/bulk/begin/cancel/?text=nosuchtext&cluster={cluster}"),
    ],
    "GET /admin/<app_label>/": [("", "/admin/jobs/")],
    "GET /api/schema": [("", "/api/schema")],
    "GET /admin/jobs/job/<path:object_id>/change/": [
        ("in the middle of its queue", "/admin/jobs/job/{middle}/change/")
    ],
}

Contents = Callable[[World], Iterator[Any]]

# What changes something, with what is sent, one after the other: each changes what the one before did.
CHANGES: dict[str, list[tuple[str, str, Contents]]] = {
    "POST /api/v1/jobs/prioritize": [
        ("10,000 that are not there", "/api/v1/jobs/prioritize", lambda world: repeat(_change(_UNKNOWN, priority=1))),
        (
            "1,000 of all ages",
            "/api/v1/jobs/prioritize",
            lambda world: cycle([_change(_of_all_ages(world), priority=number) for number in (1, 0)]),
        ),
    ],
    "POST /api/v1/jobs/move": [
        ("10,000 that are not there", "/api/v1/jobs/move", lambda world: repeat(_change(_UNKNOWN, cluster="pool"))),
        (
            "1,000 of all ages",
            "/api/v1/jobs/move",
            lambda world: cycle([_change(_of_all_ages(world), cluster=name) for name in ("pool", "huge")]),
        ),
    ],
    "PUT /api/v1/pools/<cluster:pool>": [
        (
            "all members in another order",
            "/api/v1/pools/pool",
            lambda world: cycle([{"members": _members(world, first)} for first in (1, 0)]),
        )
    ],
}

# What does the same as a call of the protocol, by the same service.
AS_CALLS = {
    "POST /api/v1/register": "Register",
    "POST /api/v1/clusters/<cluster:cluster>/accept": "AcceptJobs",
    "POST /api/v1/clusters/<cluster:cluster>/report": "ReportJobs",
    "POST /api/v1/clusters/<cluster:cluster>/jobs": "SubmitJob",
    "POST /api/v1/clusters/<cluster:cluster>/jobs/batch": "SubmitJobs",
    "POST /api/v1/clusters/<cluster:cluster>/inputs": "PutInputs",
    "POST /api/v1/inputs": "PutInputs",
    "POST /api/v1/jobs": "SubmitJob",
    "POST /api/v1/jobs/batch": "SubmitJobs",
    "POST /api/v1/jobs/cancel": "CancelJobs",
    "POST /api/v1/jobs/<int:job>/cancel": "CancelJobs",
    "POST /iri/api/v2/compute/job/<cluster:cluster>": "SubmitJob",
    "POST /iri/api/v2/compute/status/<cluster:cluster>": "ListJobs",
    "DELETE /iri/api/v2/compute/cancel/<cluster:cluster>/<str:job>": "CancelJobs",
    "POST /my/jobs/cancel/": "CancelJobs",
    "POST /api/v1/jobs/<int:job>/signal": "SignalJobs",
    "POST /my/jobs/<int:job_id>/resubmit/": "SubmitJob",
    "POST /my/groups/<int:group_id>/resubmit/": "ResubmitJobs",
    "POST /my/jobs/<int:job_id>/signal/": "SignalJobs",
    "POST /admin/jobs/job/<int:job_id>/signal/": "SignalJobs",
    "POST /api/v1/jobs/<int:job>/resubmit": "ResubmitJobs",
    "POST /api/v1/clusters/<cluster:cluster>/jobs/<int:job>/resubmit": "ResubmitJobs",
}

# What people and clusters ask, and operators may not.
_BEARERS: dict[str, Callable[[World], str]] = {
    "GET /api/v1/me": lambda world: world.personal,
    "GET /api/v1/me/tokens": lambda world: world.personal,
    "GET /api/v1/me/usage": lambda world: world.personal,
    "GET /api/v1/clusters/<cluster:cluster>/queue": lambda world: world.huge.secret,
    "GET /iri/api/v2/compute/resources": lambda world: world.personal,
    "GET /iri/api/v2/status/resources/<cluster:cluster>": lambda world: world.personal,
    "GET /iri/api/v2/facility/sites/<cluster:cluster>": lambda world: world.personal,
    "GET /iri/api/v2/compute/status/<cluster:cluster>/<str:job>": lambda world: world.personal,
}


def page(row: str, what: str, address: str, world: World, whose: str) -> Page:
    path = address.format(
        middle=world.waiting[len(world.waiting) // 2],
        listed="&".join(f"job={job_id}" for job_id in world.waiting[:_LISTED]),
        cluster=world.huge_id,
        pool=world.pool_id,
        group=world.group,
    )
    bearer = _BEARERS[row](world) if row in _BEARERS else ""
    name = f"{row.removeprefix('GET ')} {what}".strip()
    return Page(name=f"{name}, {whose}", path=path, visitor=world.visitor, bearer=bearer)


def change(row: str, what: str, address: str, contents: Contents, world: World, whose: str) -> Page:
    method = row.partition(" ")[0]
    return Page(
        name=f"{row} {what}, {whose}", path=address, visitor=world.visitor, method=method, contents=contents(world)
    )


def _change(job_ids: list[int], **fields: Any) -> dict[str, Any]:
    return {"ids": job_ids, "reason": "to see how long it takes", **fields}


def _of_all_ages(world: World) -> list[int]:
    return list(world.waiting[:: max(1, len(world.waiting) // _MANY)])[:_MANY]


def _members(world: World, first: int) -> list[dict[str, Any]]:
    """All that are in the pool, beginning with another."""
    return [{"cluster": name} for name in (*world.members[first:], *world.members[:first])]
