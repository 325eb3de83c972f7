"""The RPCs of the later generation, in front of our own model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim
from clusters.facts import Facts, Value
from clusters.matching import fits
from clusters.models import Cluster
from clusters.parsed_facts import parsed_facts
from clusters.services.authenticate import authenticate
from clusters.services.register import Registration
from clusters.validation import check_range
from grpc_api.later import later_pb2 as later
from grpc_api.later.graphs import facts_of_cluster, read_graph, values_of_subsystem
from grpc_api.later.jobspecs import can_be_written, read_jobspec, written
from grpc_api.later.selection import Candidate, choose
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import REPLY_BUDGET, request_id
from grpc_api.rpcs.registration import address_in, check_may_register
from grpc_api.rpcs.server_state import SECRET, ServerState, secret_claim, token_claim
from jobs.placement import DEMAND_FIELDS, demand_of
from jobs.queries.queue import QueuedJob, request_jobs
from jobs.services.close import close_cluster
from jobs.services.facts import change_facts
from jobs.services.orders import Order
from jobs.services.register_with_facts import register_with_facts
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from rainbow.errors import FailedPrecondition, InvalidArgument, RainbowError

MOST_CLUSTERS = 100
# Their facts may have 64 KiB each.
MOST_JUDGED = 1_000
# Waiting jobs, for those that can be told.
MOST_LOOKED_AT = 10_000
_ENTRY_BYTES = 32


class LaterRpcs:
    def __init__(self, server: ServerState, *, registration_secret: str) -> None:
        self._server = server
        self._registration_secret = registration_secret

    async def Register(self, request: later.RegisterRequest, call: Call) -> later.RegisterResponse:
        work = partial(
            register_with_graph,
            request,
            offered_secret=request.secret or call.bearer,
            registration_secret=self._registration_secret,
            peer=call.peer(),
            forwarded=call.forwarded(),
            now=self._server.clock(),
        )
        registration = await self._server.pools.write(work, caller=address_in(call.peer()))
        call.note(cluster=request.name, result="created" if registration else "exists")
        if registration is None:
            return later.RegisterResponse(request_id=request_id(), status=later.RegisterResponse.REGISTER_EXISTS)
        return later.RegisterResponse(
            request_id=request_id(),
            token=registration.token,
            secret=registration.secret,
            status=later.RegisterResponse.REGISTER_SUCCESS,
        )

    async def RegisterSubsystem(self, request: later.RegisterRequest, call: Call) -> later.RegisterResponse:
        await self._server.write(add_subsystem, request, _secret_claim(call, request.name, request.secret), call)
        return later.RegisterResponse(request_id=request_id(), status=later.RegisterResponse.REGISTER_SUCCESS)

    async def DeleteSubsystem(self, request: later.DeleteRequest, call: Call) -> later.DeleteResponse:
        claim = _secret_claim(call, request.name, request.secret)
        was_there = (await self._server.write(remove_subsystem, request, claim, call)).reply
        found = later.DeleteResponse
        return found(status=found.DELETE_SUCCESS if was_there else found.DELETE_NO_EXISTS)

    async def UpdateState(self, request: later.UpdateStateRequest, call: Call) -> later.UpdateStateResponse:
        await self._server.write(update_state, request, _secret_claim(call, request.cluster, request.secret), call)
        return later.UpdateStateResponse(status=later.UpdateStateResponse.UPDATE_STATE_SUCCESS)

    async def SubmitJob(self, request: later.SubmitJobRequest, call: Call) -> later.SubmitJobResponse:
        check_range(len(request.clusters), field="clusters", lowest=1, highest=MOST_CLUSTERS)
        claims = [token_claim(call, one.name, one.token) for one in request.clusters]
        work = partial(submit, request, claims, self._server.clock())
        reply = await self._server.pools.write(work, caller=claims[0].value)
        call.note(cluster=reply.cluster or None, job=reply.jobid or None)
        if reply.jobid:
            self._server.wakeups.wake([reply.cluster])
        return reply

    async def ReceiveJobs(self, request: later.ReceiveJobsRequest, call: Call) -> later.ReceiveJobsResponse:
        claim = secret_claim(call, request.cluster, request.secret)
        answered = await self._server.read(receive, request, claim, call)
        # It asks for whatever there is.
        self._server.last_seen.note(answered.caller, self._server.clock(), asked=Bounds())
        call.note(jobs=len(answered.reply.jobs))
        return answered.reply

    async def Delete(self, request: later.DeleteRequest, call: Call) -> later.DeleteResponse:
        answered = await self._server.write(close, request, _secret_claim(call, request.name, request.secret), call)
        return answered.reply


class MemoryGraph:
    """Tells anybody which clusters could run a job, by name, as the published client asks before it submits."""

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def Satisfy(self, request: later.SatisfyRequest, call: Call) -> later.SatisfyResponse:
        return await self._server.pools.read(partial(satisfy, request), caller=address_in(call.peer()))


def satisfy(request: later.SatisfyRequest) -> later.SatisfyResponse:
    """Of the first thousand clusters by name."""
    spec = read_jobspec(request.payload)
    clusters = dict(Cluster.objects.filter(pool=False).order_by("name").values_list("id", "name")[:MOST_JUDGED])
    fitting = [one.name for one in _fitting(clusters, spec)]
    return later.SatisfyResponse(
        clusters=fitting,
        status=later.SatisfyResponse.RESULT_TYPE_SUCCESS,
        total_clusters=len(clusters),
        total_matches=len(fitting),
        total_mismatches=len(clusters) - len(fitting),
    )


def register_with_graph(
    request: later.RegisterRequest,
    *,
    offered_secret: str,
    registration_secret: str,
    peer: str,
    forwarded: bool,
    now: datetime,
) -> Registration | None:
    """As `register`, and its graph as facts, together; the graph is read once the secret has proved right."""
    check_may_register(
        offered_secret=offered_secret,
        registration_secret=registration_secret,
        peer=peer,
        forwarded=forwarded,
        now=now,
    )
    return register_with_facts(
        name=request.name,
        offered_secret=offered_secret,
        registration_secret=registration_secret,
        facts=facts_of_cluster(read_graph(request.nodes)) if request.nodes else None,
        now=now,
    )


def add_subsystem(request: later.RegisterRequest, caller: Caller, now: datetime) -> None:
    if not request.subsystem:
        raise InvalidArgument("is required", field="subsystem")
    values = values_of_subsystem(request.subsystem, read_graph(request.nodes))
    _replace_values(caller, request.subsystem, values, now)


def remove_subsystem(request: later.DeleteRequest, caller: Caller, now: datetime) -> bool:
    """Whether it was there."""
    if not request.subsytem:
        raise InvalidArgument("is required", field="subsytem")
    known = parsed_facts.of([caller.cluster_id]).get(caller.cluster_id, Facts())
    if not any(name.startswith(f"{request.subsytem}.") for name in known.values):
        return False
    _replace_values(caller, request.subsytem, {}, now)
    return True


def _replace_values(caller: Caller, subsystem: str, values: Mapping[str, Value], now: datetime) -> None:
    def change(facts: Facts) -> Facts:
        kept = {name: value for name, value in facts.values.items() if not name.startswith(f"{subsystem}.")}
        return replace(facts, values={**kept, **values})

    change_facts(by=caller, change=change, now=now)


def update_state(request: later.UpdateStateRequest, caller: Caller, now: datetime) -> None:
    told = _state_from(request.payload)
    change_facts(by=caller, change=lambda facts: replace(facts, values={**facts.values, **told}), now=now)


def _state_from(payload: str) -> dict[str, Value]:
    """A flat object. The published client sends a file's text as JSON once more."""
    said = _read_json(payload)
    said = _read_json(said) if isinstance(said, str) else said
    if not isinstance(said, dict):
        raise InvalidArgument("must be an object as JSON", field="payload")
    return {name: _scalar(name, value) for name, value in said.items()}


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument("must be an object as JSON", field="payload") from None


def _scalar(name: str, value: object) -> Value:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise InvalidArgument("must be a number or a text", field=f"payload.{name[:40]}")
    return value


def submit(request: later.SubmitJobRequest, claims: Sequence[Claim], now: datetime) -> later.SubmitJobResponse:
    """One credential that is refused refuses all. Raises what `submit_jobs` refuses."""
    callers = {caller.cluster: caller for caller in _all_admitted(claims, now)}
    spec = read_jobspec(request.jobspec, name=request.name)
    fitting = _fitting({caller.cluster_id: caller.cluster for caller in callers.values()}, spec)
    if request.satisfy_only:
        return _submitted(clusters=[one.name for one in fitting])
    if not fitting:
        raise FailedPrecondition("none of these clusters can run it", field="clusters")
    chosen = choose(fitting, algorithm=request.select_algorithm, options=request.select_options)
    if chosen is None:
        raise FailedPrecondition("leaves none of the clusters that can run it", field="select_options.priorities")
    caller = callers[chosen.name]
    (outcome,) = submit_jobs(orders=[Order(by=caller, cluster_id=caller.cluster_id, spec=spec)], now=now)
    if isinstance(outcome, RainbowError):
        raise outcome
    return _submitted(jobid=outcome.job_id, cluster=chosen.name)


def _submitted(**fields: Any) -> later.SubmitJobResponse:
    success = later.SubmitJobResponse.SUBMIT_SUCCESS
    return later.SubmitJobResponse(request_id=request_id(), status=success, **fields)


def _all_admitted(claims: Sequence[Claim], now: datetime) -> list[Caller]:
    callers = []
    for caller in authenticate(claims, now=now):
        if isinstance(caller, RainbowError):
            raise caller
        callers.append(caller)
    return callers


def _fitting(clusters: Mapping[int, str], spec: JobSpec) -> list[Candidate]:
    """Those clusters, names by id, that can run it, by what they told of themselves."""
    facts = parsed_facts.of(list(clusters))
    values = {name: getattr(spec, name) for name in DEMAND_FIELDS}
    candidates = (Candidate(name=name, facts=facts.get(id, Facts())) for id, name in clusters.items())
    return [one for one in candidates if fits(demand_of(values, one.name), one.facts)]


def receive(request: later.ReceiveJobsRequest, caller: Caller, now: datetime) -> later.ReceiveJobsResponse:
    """The first that a jobspec can say."""
    jobs, left = dict[int, str](), REPLY_BUDGET
    waiting = islice(request_jobs(caller=caller, shared=True, now=now), MOST_LOOKED_AT)
    sayable = filter(can_be_written, waiting)
    for job in islice(sayable, request.maxJobs) if request.maxJobs > 0 else sayable:
        text = json.dumps(_told(job, caller.cluster))
        left -= len(text) + _ENTRY_BYTES
        if left < 0:
            break
        jobs[job.id] = text
    found = later.ReceiveJobsResponse
    status = found.REQUEST_JOBS_SUCCESS if jobs else found.REQUEST_JOBS_NORESULTS
    return found(request_id=request_id(), jobs=jobs, status=status)


def _told(job: QueuedJob, cluster: str) -> dict[str, object]:
    """As the original tells it; its command is always empty."""
    return {"id": job.id, "cluster": cluster, "name": job.name, "jobspec": written(job), "command": ""}


def close(request: later.DeleteRequest, caller: Caller, now: datetime) -> later.DeleteResponse:
    found = later.DeleteResponse
    return found(status=found.DELETE_SUCCESS if close_cluster(by=caller, now=now) else found.DELETE_ERROR)


def _secret_claim(call: Call, cluster: str, secret: str) -> Claim:
    """What changes a cluster is its own secret's to do, and no person's."""
    return replace(secret_claim(call, cluster, secret), kinds=SECRET)
