# Written from rainbow/client_groups.py by `make client`. Change that file.
"""Looking up and cancelling groups of jobs."""

from collections.abc import AsyncIterator

from rainbow import answers, records, rules, translation
from rainbow.aio.session import AsyncSession
from rainbow.protos import rainbow_pb2 as pb


class GroupCalls(AsyncSession):
    async def get_group(self, group: int) -> records.JobGroup:
        """How many of its members are in each state, and the first that failed. Raises NotFound."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.GetGroupRequest(cluster=self.cluster, id=group)
        answer = await self._connection.ask(self._stub.GetGroup, request, credential=self._token or self._secret)
        return answers.group(answer, asked=group)

    async def cancel_group(self, group: int, *, reason: str = "") -> records.JobGroup:
        """Cancel all its members, in the background. Raises NotFound, and FailedPrecondition where all are over."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.CancelGroupRequest(cluster=self.cluster, id=group, reason=reason)
        answer = await self._connection.ask(self._stub.CancelGroup, request, credential=self._token or self._secret)
        return answers.group(answer, asked=group)

    async def list_groups(self, *, going: bool = False, page_size: int = 0) -> AsyncIterator[records.JobGroup]:
        """Every group, the newest first; only those that are not finished if `going`. Pages are fetched as needed."""
        token, before, more = ("", rules.MAX_INT + 1, True)
        while more:
            page = await self._group_page(going=going, page_size=page_size, page_token=token, before=before)
            for item in page.groups:
                yield item
            token = page.next_page_token
            more = bool(token)
            before = page.groups[-1].id if more else before

    async def list_groups_page(
        self, *, going: bool = False, page_size: int = 0, page_token: str = ""
    ) -> records.GroupPage:
        """One page of 1 to 1,000 groups; a `page_size` of 0 means 100."""
        return await self._group_page(going=going, page_size=page_size, page_token=page_token, before=rules.MAX_INT + 1)

    async def _group_page(self, *, going: bool, page_size: int, page_token: str, before: int) -> records.GroupPage:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ListGroupsRequest(
                cluster=self.cluster, going=going, page_size=page_size, page_token=page_token
            )
        answer = await self._connection.ask(self._stub.ListGroups, request, credential=self._token or self._secret)
        return answers.groups(answer, before=before)
