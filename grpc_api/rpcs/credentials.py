from datetime import datetime, timedelta

from clusters.callers import Caller
from clusters.models import CredentialKind
from clusters.services.credentials import DEFAULT_LABEL, rotate_credential
from clusters.services.pause import resume_cluster, resume_token
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.messages import held_to_message, kind_from, timestamp
from grpc_api.rpcs.server_state import ANY, SECRET, ServerState, bearer_claim
from rainbow.protos import rainbow_pb2 as pb

DEFAULT_GRACE_SECONDS = 300


class CredentialRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def RotateCredential(self, request: pb.RotateCredentialRequest, call: Call) -> pb.RotateCredentialResponse:
        claim = bearer_claim(call, request.cluster, SECRET)
        answered = await self._server.write(rotate, request, claim, call)
        call.note(kind=pb.CredentialKind.Name(answered.reply.kind), peer=call.peer())
        return answered.reply

    async def ResumeCluster(self, request: pb.ResumeClusterRequest, call: Call) -> pb.ResumeClusterResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        answered = await self._server.write(resume, request, claim, call)
        call.note(held_back=len(answered.reply.held_back) or None)
        self._server.wakeups.wake_all_of([answered.caller.cluster])
        return answered.reply


def rotate(request: pb.RotateCredentialRequest, caller: Caller, now: datetime) -> pb.RotateCredentialResponse:
    seconds = request.grace_seconds if request.HasField("grace_seconds") else DEFAULT_GRACE_SECONDS
    new = rotate_credential(
        cluster_id=caller.cluster_id,
        kind=kind_from(request.kind),
        label=request.label or DEFAULT_LABEL,
        grace=timedelta(seconds=seconds),
        by=caller,
        now=now,
    )
    return pb.RotateCredentialResponse(
        credential=new.value,
        kind=request.kind,
        label=new.credential.label,
        previous_expires_at=timestamp(new.credential.previous_expires_at or now),
    )


def resume(request: pb.ResumeClusterRequest, caller: Caller, now: datetime) -> pb.ResumeClusterResponse:
    """A token resumes its own jobs, a secret all of its cluster's."""
    if caller.kind != CredentialKind.SECRET:
        resumed = resume_token(by=caller, now=now)
    else:
        resumed = resume_cluster(cluster_id=caller.cluster_id, by=caller, now=now)
    held = [held_to_message(one) for one in resumed.held_back]
    return pb.ResumeClusterResponse(paused=resumed.paused, held_back=held)
