"""What all calls of an asynchronous client share: server, cluster, credentials and retries."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rainbow import config
from rainbow.aio.connection import AsyncConnection
from rainbow.client_session import DEFAULT_TIMEOUT_SECONDS
from rainbow.retries import Retries
from rainbow.tls import Tls

if TYPE_CHECKING:
    from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerAsyncStub

    # It needs a library that only those load who sign.
    from rainbow.signer import Signer


class AsyncSession:
    def __init__(
        self,
        host: str = "localhost:50051",
        *,
        cluster: str = "",
        token: str = "",
        secret: str = "",
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        tls: bool = False,
        ca_file: Path | str | None = None,
        cert_file: Path | str | None = None,
        key_file: Path | str | None = None,
        retries: Retries | None = None,
        signer: "Signer | None" = None,
    ) -> None:
        self.cluster = cluster
        self.signer = signer
        self._token = token
        self._secret = secret
        self._retries = retries or Retries()
        self._connection = AsyncConnection(
            host,
            timeout_seconds=timeout_seconds,
            retries=self._retries,
            tls=Tls(on=tls, ca_file=ca_file, cert_file=cert_file, key_file=key_file),
        )

    @classmethod
    def from_settings(cls, *, cluster: str = "", **options: Any) -> Self:
        """A client with the settings of the command line: variables such as RAINBOW_TOKEN, then its configuration file.

        `cluster` is another one than they name, whose credentials may be in the file; `options` are further parameters.
        Jobs are signed only with a `signer`, whatever they say. Raises InvalidArgument for settings that are wrong.
        """
        known = config.settings({"cluster": cluster})
        return cls(**{**known.of_clients, "token": known.token, "secret": known.secret, **options})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def _stub(self) -> "RainbowSchedulerAsyncStub":
        """Not kept: certificates that are renewed bring another one."""
        return self._connection.stub

    async def close(self) -> None:
        await self._connection.close()
