# Written from rainbow/client_clusters.py by `make client`. Change that file.
"""Which clusters may be used, and what they have."""

from rainbow import answers, records, translation
from rainbow.aio.session import AsyncSession
from rainbow.protos import rainbow_pb2 as pb

MOST_CLUSTERS = 1000


class ClusterCalls(AsyncSession):
    async def list_clusters(self, *, name: str = "") -> tuple[records.Cluster, ...]:
        """The clusters that the credential reaches: its own, or its pool and the clusters of that in its order.

        With a name only that one; raises NotFound where it is not in reach.
        """
        clusters, token, more = (list[records.Cluster](), "", True)
        while more:
            answer = await self._list_clusters(name=name, page_token=token)
            clusters += answers.clusters(answer, before=[cluster.name for cluster in clusters], most=MOST_CLUSTERS)
            token = answer.next_page_token
            more = bool(token)
        return tuple(clusters)

    async def _list_clusters(self, *, name: str, page_token: str) -> pb.ListClustersResponse:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ListClustersRequest(cluster=self.cluster, name=name, page_token=page_token)
        return await self._connection.ask(self._stub.ListClusters, request, credential=self._token or self._secret)
