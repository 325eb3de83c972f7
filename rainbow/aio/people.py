# Written from rainbow/client_people.py by `make client`. Change that file.
"""Who calls, and the tokens of people."""

from collections.abc import Sequence

from rainbow import people, people_messages, translation
from rainbow.aio.session import AsyncSession
from rainbow.protos import rainbow_pb2 as pb


class PeopleCalls(AsyncSession):
    async def who_am_i(self) -> people.Identity:
        """Whose the credential is, and which projects it acts for."""
        answer = await self._connection.ask(
            self._stub.WhoAmI, pb.WhoAmIRequest(), credential=self._token or self._secret
        )
        return people_messages.identity(answer)

    async def list_tokens(self) -> tuple[people.Token, ...]:
        """The person's tokens that work, the newest first. Needs a personal token, as the other calls here do."""
        answer = await self._connection.ask(self._stub.ListTokens, pb.ListTokensRequest(), credential=self._token)
        return people_messages.tokens(answer)

    async def create_token(
        self,
        label: str,
        *,
        days: int = 0,
        project: str = "",
        clusters: Sequence[str] = (),
        reads_only: bool = False,
        for_project: bool = False,
    ) -> people.NewToken:
        """Make a token for 1 to 365 days (0 means 90), narrowed to a project, to clusters or to reading.

        `for_project`: it belongs to the project, for a service; needs a lead. Raises AlreadyExists for a label in use.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.CreateTokenRequest(
                label=label,
                days=days,
                project=project,
                clusters=clusters,
                reads_only=reads_only,
                for_project=for_project,
            )
        answer = await self._connection.ask_once(self._stub.CreateToken, request, credential=self._token)
        return people_messages.new_token(answer)

    async def revoke_token(self, token_id: int, *, reason: str = "") -> None:
        """Revoke a token for good, at once. Raises NotFound, and FailedPrecondition for one that is revoked."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RevokeTokenRequest(id=token_id, reason=reason)
        await self._connection.ask_once(self._stub.RevokeToken, request, credential=self._token)

    async def revoke_own_token(self, *, reason: str = "") -> None:
        """Revoke the token of this client."""
        answer = await self._connection.ask(self._stub.WhoAmI, pb.WhoAmIRequest(), credential=self._token)
        await self.revoke_token(answer.token_id, reason=reason)

    async def revoke_leaked(self, value: str, *, show: bool = False) -> people.Leak:
        """Revoke the credential of this value, of any kind, and say what was done with it. Needs no other credential.

        `show` changes nothing. Raises NotFound for what is no credential's value.
        """
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.RevokeLeakedRequest(value=value, show=show)
        return people_messages.leak(await self._connection.ask(self._stub.RevokeLeaked, request))

    async def begin_login(self, label: str, *, days: int = 0) -> people.Login:
        """Begin to sign a command line in. Needs no credential."""
        with translation.refusing_what_the_wire_cannot_carry():
            request = pb.BeginLoginRequest(label=label, days=days)
        return people_messages.login(await self._connection.ask_once(self._stub.BeginLogin, request))

    async def collect_login(self, login: str) -> people.LoginAnswer:
        """Ask whether the person has confirmed it, and collect the token, once. Raises NotFound when it is over."""
        request = pb.CollectLoginRequest(login=login)
        return people_messages.login_answer(await self._connection.ask_once(self._stub.CollectLogin, request))
