from datetime import datetime
from functools import partial

from clusters.models import CredentialKind
from clusters.services.leaks import Leak, report_leak
from clusters.services.throttle import source_at
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import KINDS_ON_THE_WIRE, STATES, timestamp
from grpc_api.rpcs.registration import address_in
from grpc_api.rpcs.server_state import ServerState
from jobs.queries.submitted_with import count_submitted_with, newest_submitted_with
from rainbow.protos import rainbow_pb2 as pb


class LeakRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def RevokeLeaked(self, request: pb.RevokeLeakedRequest, call: Call) -> pb.RevokeLeakedResponse:
        address = address_in(call.peer())
        work = partial(revoke_leaked, request, address, self._server.clock())
        reply = await self._server.pools.write(work, caller=address)
        call.note(cluster=reply.cluster, result="revoked" if reply.revoked_now else "unchanged")
        return reply


def revoke_leaked(request: pb.RevokeLeakedRequest, address: str, now: datetime) -> pb.RevokeLeakedResponse:
    return _told(report_leak(value=request.value, show=request.show, source=source_at(address), now=now))


def _told(leak: Leak) -> pb.RevokeLeakedResponse:
    of = leak.credential
    return pb.RevokeLeakedResponse(
        kind=KINDS_ON_THE_WIRE[CredentialKind(of.kind)],
        label=of.label,
        cluster=of.cluster.name if of.cluster else "",
        person=of.person.username if of.person else "",
        project=of.project.name if of.project else "",
        created_at=timestamp(of.created_at),
        last_used_at=timestamp(of.last_used_at),
        expires_at=timestamp(of.expires_at),
        revoked_at=timestamp(of.revoked_at),
        revoked_now=leak.revoked_now,
        job_count=count_submitted_with(of.id),
        jobs=[pb.LeakedJob(jobid=job.id, state=STATES[job.state]) for job in newest_submitted_with(of.id)],
    )
