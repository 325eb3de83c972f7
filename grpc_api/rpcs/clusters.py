from datetime import datetime

from clusters.callers import Caller
from clusters.facts import Facts
from grpc_api.rpcs.call import Call
from grpc_api.rpcs.cluster_messages import facts_to_message
from grpc_api.rpcs.messages import messages_that_fit, timestamp
from grpc_api.rpcs.server_state import ANY, ServerState, bearer_claim
from jobs.queries.clusters import Reached, clusters_in_reach
from rainbow.errors import InvalidArgument, NotFound
from rainbow.protos import rainbow_pb2 as pb


class ClusterRpcs:
    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def ListClusters(self, request: pb.ListClustersRequest, call: Call) -> pb.ListClustersResponse:
        claim = bearer_claim(call, request.cluster, ANY)
        return (await self._server.read(list_clusters, request, claim, call)).reply


def list_clusters(request: pb.ListClustersRequest, caller: Caller, now: datetime) -> pb.ListClustersResponse:
    """Raises InvalidArgument, and NotFound for a cluster that is none, or not in reach."""
    begin = _place(request.page_token)
    reached = clusters_in_reach(by=caller, now=now)
    if request.name:
        reached = [one for one in reached if one.cluster.name == request.name]
        if not reached:
            raise NotFound("there is no such cluster in reach of this credential", field="name")
    clusters = list(messages_that_fit(map(_to_message, reached[begin:])))
    end = begin + len(clusters)
    return pb.ListClustersResponse(clusters=clusters, next_page_token=str(end) if end < len(reached) else "")


def _to_message(reached: Reached) -> pb.Cluster:
    cluster = reached.cluster
    return pb.Cluster(
        name=cluster.name,
        pool=cluster.pool,
        after_seconds=reached.after_seconds,
        last_asked_at=timestamp(reached.last_asked_at),
        paused=cluster.paused_reason,
        not_ready=cluster.not_ready,
        warning=reached.warning,
        queued=reached.queued,
        oldest_submitted_at=timestamp(reached.summary.oldest_submitted_at),
        facts=facts_to_message(Facts.read(cluster.facts)),
        facts_at=timestamp(cluster.facts_at),
    )


def _place(page_token: str) -> int:
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdecimal() and len(page_token) <= 4):
        raise InvalidArgument("must be the next_page_token of an earlier answer", field="page_token")
    return int(page_token)
