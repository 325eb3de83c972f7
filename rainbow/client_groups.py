"""Looking up, watching and cancelling groups of jobs."""

from collections.abc import Iterator

from rainbow import answers, records, rules, translation
from rainbow.client_session import ClientSession
from rainbow.errors import DeadlineExceeded, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.retries import Patience

# How often a group is polled: soon after a change, and while nothing happens.
POLL_SECONDS, POLL_AT_MOST_SECONDS = 0.5, 5.0


class GroupCalls(ClientSession):
    def get_group(self, group: int) -> records.JobGroup:
        """How many of its members are in each state, and the first that failed. Raises NotFound."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.GetGroupRequest(cluster=self.cluster, id=group)
        answer = self._connection.ask(self._stub.GetGroup, request, credential=self._token or self._secret)
        return answers.group(answer, asked=group)

    def watch_group(self, group: int, *, first_seconds: float = 0) -> Iterator[records.JobGroup]:
        """The group as it is now, and again at each change, until it is finished. Raises NotFound.

        It is polled every half second, and every 5 seconds while nothing changes. Raises Unavailable when the server
        stays away for 5 minutes, or at the beginning for `first_seconds`, which is the timeout unless said.
        """
        patience = Patience(self._retries, first_seconds=first_seconds or self._connection.timeout_seconds)
        seen: records.JobGroup | None = None
        pause = POLL_SECONDS
        while seen is None or seen.finished_at is None:
            if seen is not None:
                patience.wait(pause)
            found = self._looked_up(group, patience)
            pause = POLL_SECONDS if found != seen else min(pause * 2, POLL_AT_MOST_SECONDS)
            if found != seen:
                yield found
            seen = found

    def _looked_up(self, group: int, patience: Patience) -> records.JobGroup:
        while True:
            try:
                found = self.get_group(group)
            except (Unavailable, DeadlineExceeded) as error:
                patience.rest(error if isinstance(error, Unavailable) else Unavailable(error.message))
                continue
            patience.renew()
            return found

    def cancel_group(self, group: int, *, reason: str = "") -> records.JobGroup:
        """Cancel all its members, in the background. Raises NotFound, and FailedPrecondition where all are over."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.CancelGroupRequest(cluster=self.cluster, id=group, reason=reason)
        answer = self._connection.ask(self._stub.CancelGroup, request, credential=self._token or self._secret)
        return answers.group(answer, asked=group)

    def list_groups(self, *, going: bool = False, page_size: int = 0) -> Iterator[records.JobGroup]:
        """Every group, the newest first; only those that are not finished if `going`. Pages are fetched as needed."""
        token, before, more = "", rules.MAX_INT + 1, True
        while more:
            page = self._group_page(going=going, page_size=page_size, page_token=token, before=before)
            yield from page.groups
            token = page.next_page_token
            more = bool(token)
            before = page.groups[-1].id if more else before

    def list_groups_page(self, *, going: bool = False, page_size: int = 0, page_token: str = "") -> records.GroupPage:
        """One page of 1 to 1,000 groups; a `page_size` of 0 means 100."""
        return self._group_page(going=going, page_size=page_size, page_token=page_token, before=rules.MAX_INT + 1)

    def _group_page(self, *, going: bool, page_size: int, page_token: str, before: int) -> records.GroupPage:
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.ListGroupsRequest(
                cluster=self.cluster, going=going, page_size=page_size, page_token=page_token
            )
        answer = self._connection.ask(self._stub.ListGroups, request, credential=self._token or self._secret)
        return answers.groups(answer, before=before)
