"""Client certificates: an agent's has to be for the cluster whose secret it uses, and nothing tells what was wrong."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rainbow.certificates import read_certificate
from rainbow.client import Client
from rainbow.errors import RainbowError, Unauthenticated, Unavailable
from rainbow.records import JobSpec
from tests.support.certificates import Authority, Pair, run_manual
from tests.support.commandline import Run
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.proxy import Proxy
from tests.support.rehearsed import TWO_ATTEMPTS, TWO_ATTEMPTS_SECONDS, two_attempts
from tests.support.servers import RainbowServer, on_h2corn, start_rainbow
from tests.support.web import get
from tests.support.wire import eventually

DENIED = "request denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A server with two clusters, keebler and oreo; `door` is the gRPC port that asks for certificates."""

    server: RainbowServer
    door: str
    authority: Authority
    secrets: dict[str, str]
    tokens: dict[str, str]

    def client(
        self, pair: Pair | None, *, cluster: str = "keebler", at: str = "", seconds: float = TWO_ATTEMPTS_SECONDS
    ) -> Client:
        return Client(
            at or self.door,
            cluster=cluster,
            secret=self.secrets[cluster],
            token=self.tokens[cluster],
            timeout_seconds=seconds,
            retries=two_attempts(),
            ca_file=self.server.ca_file,
            cert_file=pair and pair.cert,
            key_file=pair and pair.key,
        )

    def queue_over_https(self, pair: Pair | None, *, cluster: str = "keebler") -> tuple[int, bytes]:
        trust = self.server.trust
        assert trust
        if pair:
            trust.load_cert_chain(pair.cert, pair.key)
        link = HTTPSConnection(urlsplit(self.server.web).netloc, timeout=PATIENCE_SECONDS, context=trust)
        bearer = {"Authorization": f"Bearer {self.secrets[cluster]}"}
        link.request("GET", f"/api/v1/clusters/{cluster}/queue", headers=bearer)
        answer = link.getresponse()
        return answer.status, answer.read()


def new_fleet(database_url: str, folder: Path, **settings: str) -> Fleet:
    authority = Authority(folder / "authority")
    anyone = authority.issue("anyone")
    pair, client_ca = authority.issue("server"), folder / "client-ca.pem"
    shutil.copy(authority.cert, client_ca)
    server = start_rainbow(
        database_url=database_url,
        log=folder / "log",
        with_web=True,
        environment={"RAINBOW_TLS_CERT": str(pair.cert), "RAINBOW_TLS_KEY": str(pair.key), **settings},
        ca_file=str(authority.cert),
        client=(anyone.cert, anyone.key),
    )
    files = {"ca_file": server.ca_file, "cert_file": anyone.cert, "key_file": anyone.key}
    with Client(server.address, timeout_seconds=PATIENCE_SECONDS, **files) as stranger:
        new = {
            name: stranger.register(name, registration_secret=server.registration_secret)
            for name in ("keebler", "oreo")
        }
    return Fleet(
        server=server,
        door=settings.get("RAINBOW_TLS_CLIENT_ADDRESS", server.address),
        authority=authority,
        secrets={name: one.secret for name, one in new.items()},
        tokens={name: one.token for name, one in new.items()},
    )


@pytest.fixture(scope="module")
def fleet(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Certificates are asked for at a port of their own."""
    folder = tmp_path_factory.mktemp("fleet")
    door = f"localhost:{free_port()}"
    made = new_fleet(
        new_database(),
        folder,
        RAINBOW_TLS_CLIENT_CA=str(folder / "client-ca.pem"),
        RAINBOW_TLS_CLIENT_ADDRESS=door,
    )
    yield made
    made.server.stop()


def refusal(client: Client, call: Callable[[Client], Any]) -> RainbowError:
    with client, pytest.raises(RainbowError) as caught:
        call(client)
    return caught.value


def ask(client: Client) -> Any:
    return client.request_jobs()


@pytest.mark.parametrize(
    "names",
    ["DNS:keebler", "URI:rainbow://cluster/keebler", "DNS:node1.example,DNS:keebler,URI:rainbow://cluster/oreo"],
)
def test_an_agent_is_served_by_either_kind_of_name(fleet: Fleet, names: str) -> None:
    pair = fleet.authority.issue("keebler", names=names)

    with fleet.client(pair) as agent:
        assert agent.request_jobs() is not None
        assert agent.report_jobs([], agent="one") is not None
    assert fleet.queue_over_https(pair)[0] == 200


@pytest.mark.parametrize(
    "names",
    [
        "DNS:oreo",
        "DNS:KEEBLER",
        "DNS:keebler.example",
        "DNS:*",
        "email:keebler@example,IP:127.0.0.1",
        "URI:rainbow://cluster/keebler/oreo",
        "URI:https://keebler",
    ],
)
def test_a_certificate_for_another_name_gets_the_answer_of_a_wrong_secret(fleet: Fleet, names: str) -> None:
    pair = fleet.authority.issue("keebler", names=names)

    for call in (ask, lambda agent: agent.accept_jobs([1]), lambda agent: agent.report_jobs([], agent="one")):
        error = refusal(fleet.client(pair), call)
        assert (type(error), str(error)) == (Unauthenticated, DENIED)
    with_wrong_secret = Client(
        fleet.door,
        cluster="keebler",
        secret="wrong",
        ca_file=fleet.server.ca_file,
        cert_file=pair.cert,
        key_file=pair.key,
    )
    assert str(refusal(with_wrong_secret, ask)) == DENIED
    assert fleet.queue_over_https(pair)[0] == 401


def test_the_common_name_says_nothing(fleet: Fleet) -> None:
    pair = fleet.authority.issue("keebler", names="")

    # Without extensions it is of version 1 of X.509, which h2corn refuses in the handshake.
    error = refusal(fleet.client(pair), ask)
    assert isinstance(error, Unavailable if on_h2corn() else Unauthenticated)
    assert fleet.queue_over_https(pair)[0] == 401


def test_a_submitters_certificate_may_have_any_name(fleet: Fleet) -> None:
    with fleet.client(fleet.authority.issue("ada", names="DNS:ada")) as submitter:
        assert submitter.submit_job(JobSpec(command="hostname")).jobid > 0


def test_clients_without_a_certificate_go_on_at_the_other_port(fleet: Fleet) -> None:
    with fleet.client(None, at=fleet.server.address) as agent:
        assert agent.request_jobs(max_jobs=1) is not None
    assert fleet.queue_over_https(None)[0] == 200


def test_a_certificate_that_the_authority_did_not_sign_or_that_expired_is_refused_by_tls(
    fleet: Fleet, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).issue("keebler", names="DNS:keebler")
    expired = fleet.authority.issue("expired", names="DNS:keebler", days=-1)

    for pair in (stranger, expired, None):
        error = refusal(fleet.client(pair), ask)
        assert isinstance(error, Unavailable)
        assert "perhaps it wants a client certificate, or does not trust the one it got" in str(error)
    for pair in (stranger, expired):
        with pytest.raises(OSError):
            fleet.queue_over_https(pair)


@pytest.mark.usefixtures("tried_twice")
def test_the_command_line_says_what_to_do(fleet: Fleet, rainbow: Run) -> None:
    result = rainbow("jobs", "--host", fleet.door, "--ca-file", fleet.server.ca_file, *TWO_ATTEMPTS)

    assert result.exit_code == 6
    assert "perhaps it wants a client certificate" in result.stderr
    assert "--cert-file and --key-file name one" in result.stderr


@pytest.fixture(scope="module")
def strict(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Every gRPC client needs a certificate."""
    folder = tmp_path_factory.mktemp("strict")
    made = new_fleet(new_database(), folder, RAINBOW_TLS_CLIENT_CA=str(folder / "client-ca.pem"))
    yield made
    made.server.stop()


def test_where_certificates_are_required_a_secret_without_one_is_worth_nothing_over_https(strict: Fleet) -> None:
    pair = strict.authority.issue("keebler", names="DNS:keebler")

    assert isinstance(refusal(strict.client(None), ask), Unavailable)
    status, refused = strict.queue_over_https(None)
    assert (status, DENIED.encode() in refused) == (401, True)
    assert strict.queue_over_https(pair)[0] == 200


def test_a_token_needs_no_certificate_over_https(strict: Fleet) -> None:
    answer = get(strict.server, "/api/v1/jobs", bearer=strict.tokens["keebler"])

    assert answer.status == 200


def test_an_agent_takes_its_renewed_certificate_and_the_server_a_renewed_authority(
    strict: Fleet, tmp_path: Path
) -> None:
    client_ca = Path(strict.server.ca_file).parents[1] / "client-ca.pem"
    old_authority, other = client_ca.read_bytes(), Authority(tmp_path / "other")
    pair = strict.authority.issue("renewed", names="DNS:keebler")
    with closing(Proxy(strict.door)) as proxy, strict.client(pair, at=proxy.address, seconds=2) as agent:
        eventually(lambda: not is_refused_by_tls(agent))

        client_ca.write_bytes(other.cert.read_bytes())
        eventually(lambda: is_refused_by_tls(strict.client(pair, seconds=1)))
        pair.replace(other.issue("renewed", names="DNS:keebler"))
        proxy.cut()
        assert is_refused_by_tls(agent)
        proxy.mend()

        eventually(lambda: not is_refused_by_tls(agent))
    client_ca.write_bytes(old_authority)


def is_refused_by_tls(client: Client) -> bool:
    try:
        client.request_jobs()
    except Unavailable:
        return True
    return False


def test_the_manuals_certificate_is_good_for_its_cluster(tmp_path: Path) -> None:
    run_manual("An authority of your own", tmp_path)
    run_manual("Client certificates", tmp_path)

    found = read_certificate(str(tmp_path / "agent.pem"), str(tmp_path / "agent-key.pem"), of_server=False)

    assert found.clusters == {"keebler"}
