"""What the RPCs of one server share, and the way of a call into a thread of the database and back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Generic, TypeVar

from clusters.bounds import Bounds
from clusters.callers import Caller, Claim
from clusters.models import CredentialKind
from clusters.services.authenticate import admit
from grpc_api.rpcs.call import Call
from grpc_api.runtime.last_seen import LastSeenNotes
from grpc_api.runtime.thread_pools import ThreadPools
from grpc_api.runtime.wakeups import Wakeups

Request = TypeVar("Request")
Reply = TypeVar("Reply")
# Runs in a thread: one service call between two translations.
Answer = Callable[[Request, Caller, datetime], Reply]

SECRET = frozenset({CredentialKind.SECRET})
PERSONAL = frozenset({CredentialKind.PERSONAL})
# A person's own agent takes the person's jobs.
PULLERS = SECRET | PERSONAL
SUBMITTERS = frozenset(CredentialKind) - SECRET
ANY = frozenset(CredentialKind)


# Neither is frozen: one of each is made for every call, and that would take three times as long.
@dataclass(slots=True, kw_only=True)
class Claimed(Generic[Request]):
    """A request whose caller is not authenticated yet."""

    request: Request
    claim: Claim


@dataclass(slots=True, kw_only=True)
class Answered(Generic[Reply]):
    caller: Caller
    reply: Reply


def credential_of(claimed: Claimed[Request]) -> str:
    """Whose turn a call takes among those that wait for their batch: what it claims to be, not checked yet."""
    return claimed.claim.value


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    pools: ThreadPools
    wakeups: Wakeups
    last_seen: LastSeenNotes
    clock: Callable[[], datetime] = utc_now

    async def admit(self, call: Call) -> None:
        """Raises Unauthenticated unless the call's bearer is a credential: for requests that are costly to decode."""
        await self.caller(Claim(value=call.bearer, certified=call.certified()))

    async def caller(self, claim: Claim) -> Caller:
        """Raises Unauthenticated, and PermissionDenied for a token that may only read."""
        return await self.pools.read(partial(admit, claim, now=self.clock()), caller=claim.value)

    async def read(self, answer: Answer[Request, Reply], request: Request, claim: Claim, call: Call) -> Answered[Reply]:
        """Admits the caller and answers in a reading thread. Raises Unauthenticated, and what `answer` raises."""
        work = partial(_admit_and_answer, answer, request, replace(claim, reads=True), self.clock())
        return self.noted(await self.pools.read(work, caller=claim.value), call)

    async def write(
        self, answer: Answer[Request, Reply], request: Request, claim: Claim, call: Call
    ) -> Answered[Reply]:
        work = partial(_admit_and_answer, answer, request, claim, self.clock())
        return self.noted(await self.pools.write(work, caller=claim.value), call)

    def noted(self, answered: Answered[Reply], call: Call, *, asked: Bounds | None = None) -> Answered[Reply]:
        """Notes the caller in the log line and in the database; `asked` is what a cluster's request can take."""
        call.note(cluster=answered.caller.cluster, **answered.caller.logged)
        of_cluster = answered.caller.person_id is None
        self.last_seen.note(answered.caller, self.clock(), asked=asked if of_cluster else None)
        return answered


def bearer_claim(call: Call, cluster: str, kinds: frozenset[CredentialKind]) -> Claim:
    """The claim of a call whose credential comes in the metadata; an empty cluster is the credential's own."""
    return _claim(call, call.bearer, cluster or None, kinds)


def token_claim(call: Call, cluster: str, token: str) -> Claim:
    """The claim of a call of the original protocol, whose token comes in the request or in the metadata."""
    return _claim(call, token or call.bearer, cluster, SUBMITTERS)


def secret_claim(call: Call, cluster: str, secret: str) -> Claim:
    return _claim(call, secret or call.bearer, cluster, PULLERS)


def _claim(call: Call, value: str, cluster: str | None, kinds: frozenset[CredentialKind]) -> Claim:
    return Claim(
        value=value,
        cluster=cluster,
        kinds=kinds,
        certified=call.certified() if CredentialKind.SECRET in kinds else None,
        request_id=call.request_id,
        traceparent=call.span.traceparent,
    )


def _admit_and_answer(answer: Answer[Request, Reply], request: Request, claim: Claim, now: datetime) -> Answered[Reply]:
    caller = admit(claim, now=now)
    return Answered(caller=caller, reply=answer(request, caller, now))
