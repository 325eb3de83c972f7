"""What all calls of a client share: server, cluster, credentials and retries."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rainbow import config, translation
from rainbow.connection import Connection
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from rainbow.retries import Retries
from rainbow.tls import Tls

if TYPE_CHECKING:
    # It needs a library that only those load who sign.
    from rainbow.signer import Signer

DEFAULT_TIMEOUT_SECONDS = 10.0


class ClientSession:
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
        self._connection = Connection(
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _stub(self) -> RainbowSchedulerStub:
        """Not kept: certificates that are renewed bring another one."""
        return self._connection.stub

    def close(self) -> None:
        self._connection.close()

    def use_secret(self, secret: str) -> bool:
        """Use this secret from the next call on. Returns whether it is a new one."""
        is_new, self._secret = secret != self._secret, secret
        return is_new

    @property
    def answers(self) -> int:
        """How many unary calls were answered so far."""
        return self._connection.answers

    @property
    def answered_at(self) -> float:
        """When the last of them was, in seconds since 1970; 0 before the first."""
        return self._connection.answered_at


def expect(status: int, *sensible: int) -> None:
    if status not in sensible:
        raise translation.nonsense()
