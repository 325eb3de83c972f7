"""With the development registration secret, which everybody knows, a server serves its own machine only."""

import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from grpc_api.rpcs.registration import register
from rainbow.errors import PermissionDenied, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from rainbow_site.process.reach import check_reach, grpc_address, is_loopback
from rainbow_site.process.sockets import CannotListen
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.rest import Rest, problem_in
from tests.support.servers import MANAGE, RainbowServer, environment_for
from tests.support.web import post
from tests.support.wire import connected, new_name, registration

DEVELOPMENT = django_settings.DEVELOPMENT_SECRET
OWN = "of-our-own"
WHAT_TO_DO = (
    "others reach it, and anybody knows the development registration secret; set RAINBOW_REGISTRATION_SECRET to one of "
    "your own, or listen on 127.0.0.1"
)


def refused(command: str, *words: str, **settings: str) -> str:
    """What a server says that does not start."""
    environment = environment_for("sqlite:////nowhere/that/matters.db", **settings)
    environment["DATABASE_URL"] = "sqlite:///:memory:"
    run = [*MANAGE, command, *words]
    result = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize(("command", "address"), [("grpcserver", "0.0.0.0:{port}"), ("serve", ":{port}")])
def test_an_address_that_others_reach_is_refused_with_the_development_secret(command: str, address: str) -> None:
    address = address.format(port=free_port())
    keys = {"RAINBOW_SECRET_KEY": "for-the-tests-only"}

    by_flag = refused(command, "--address", address, **keys)
    by_setting = refused(command, RAINBOW_ADDRESS=address, **keys)

    assert by_flag == by_setting
    assert by_flag == f"CommandError: cannot listen on {address} (--address or RAINBOW_ADDRESS): {WHAT_TO_DO}"


@pytest.mark.parametrize("words", [["--secret", DEVELOPMENT], ["--secret-file", "{file}"]])
def test_the_development_secret_is_known_wherever_it_comes_from(tmp_path: Any, words: list[str]) -> None:
    (tmp_path / "secret").write_text(f"{DEVELOPMENT}\n")
    words = [word.format(file=tmp_path / "secret") for word in words]

    assert refused("grpcserver", "--address", ":0", *words, RAINBOW_REGISTRATION_SECRET=OWN).endswith(WHAT_TO_DO)


def test_a_web_address_that_others_reach_is_refused_too() -> None:
    here, address = f"127.0.0.1:{free_port()}", f"0.0.0.0:{free_port()}"
    keys = {"RAINBOW_SECRET_KEY": "for-the-tests-only", "RAINBOW_ADDRESS": here}

    by_flag = refused("serve", "--web", address, **keys)

    assert by_flag == f"CommandError: cannot listen on {address} (--web or RAINBOW_WEB_ADDRESS): {WHAT_TO_DO}"
    assert refused("serve", RAINBOW_WEB_ADDRESS=address, **keys) == by_flag


def test_the_default_address_is_everywhere_with_a_secret_of_ones_own_and_otherwise_here(settings: Any) -> None:
    settings.RAINBOW_ADDRESS = ""
    assert grpc_address(None, registration_secret=OWN) == "[::]:50051"
    assert grpc_address(None, registration_secret=DEVELOPMENT) == "127.0.0.1:50051"

    settings.RAINBOW_ADDRESS = "[::1]:7"
    assert grpc_address(None, registration_secret=OWN) == "[::1]:7"
    assert grpc_address("[::1]:8", registration_secret=OWN) == "[::1]:8"


def test_a_secret_of_ones_own_serves_others(start_server: Callable[..., RainbowServer]) -> None:
    port = free_port()

    server = start_server(address=f"127.0.0.1:{port}", arguments=["--address", f":{port}", "--secret", OWN])

    server.log_with(rf"at \[::\]:{port}")


def test_a_server_with_the_development_secret_serves_this_machine(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(with_web=True, environment={"RAINBOW_REGISTRATION_SECRET": ""})

    with connected(server.address) as stub:
        assert stub.Register(registration(server, secret=DEVELOPMENT)).token
    over_http = post(server, "/api/v1/register", {"name": new_name()}, bearer=DEVELOPMENT)
    assert over_http.status == 201
    assert "WARNING the development registration secret is in use: the server is for this machine only" in (
        server.log.read_text()
    )


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "127.8.9.10:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1"],
)
def test_a_loopback_address_is_on_no_network(address: str) -> None:
    assert is_loopback(address)
    check_reach(address, registration_secret=DEVELOPMENT, named="--address")


@pytest.mark.parametrize(
    "address", [":1", "[::]:1", "0.0.0.0:1", "192.0.2.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1", "[fe80::1]:1"]
)
def test_every_other_address_is_others_business(address: str) -> None:
    assert not is_loopback(address)
    check_reach(address, registration_secret=OWN, named="--address")
    with pytest.raises(CannotListen):
        check_reach(address, registration_secret=DEVELOPMENT, named="--address")


def test_a_proxy_before_grpc_is_refused_with_the_development_secret(settings: Any) -> None:
    settings.RAINBOW_GRPC_PROXIES = 1

    check_reach("127.0.0.1:1", registration_secret=OWN, named="--address")
    with pytest.raises(CannotListen, match="set RAINBOW_REGISTRATION_SECRET"):
        check_reach("127.0.0.1:1", registration_secret=DEVELOPMENT, named="--address")


@pytest.mark.parametrize("forwarded", [True, False])
def test_over_grpc_the_development_secret_registers_nothing_that_a_proxy_passed_on(db: None, forwarded: bool) -> None:
    request = pb.RegisterRequest(name="keebler")
    offer: dict[str, Any] = {"offered_secret": DEVELOPMENT, "peer": "ipv4:127.0.0.1:50000", "now": timezone.now()}
    if forwarded:
        with pytest.raises(PermissionDenied, match="set RAINBOW_REGISTRATION_SECRET"):
            register(request, registration_secret=DEVELOPMENT, forwarded=True, **offer)
        with pytest.raises(Unauthenticated):
            register(request, registration_secret=OWN, forwarded=True, **offer)
    else:
        assert register(request, registration_secret=DEVELOPMENT, forwarded=False, **offer)


@pytest.mark.parametrize("address", ["", "nonsense", "ipv4:0.0.0.0:1", "dns:///0.0.0.0:1", "no-such-host.invalid:1"])
def test_what_cannot_be_told_is_refused(address: str) -> None:
    with pytest.raises(CannotListen, match="cannot listen on"):
        check_reach(address, registration_secret=DEVELOPMENT, named="--address")


def test_a_name_that_stands_for_several_addresses_is_as_open_as_the_most_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*addresses: str) -> Any:
        return lambda host, port: [(socket.AF_INET, 1, 6, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found("127.0.0.1", "192.0.2.1"))
    assert not is_loopback("gateway:1")
    monkeypatch.setattr(socket, "getaddrinfo", found("127.0.0.1", "127.0.1.1"))
    assert is_loopback("gateway:1")


@pytest.mark.parametrize(
    "client",
    [
        {"REMOTE_ADDR": "192.0.2.1"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=192.0.2.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "192.0.2.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_VIA": "1.1 proxy"},
    ],
)
def test_the_development_secret_registers_nothing_for_others_behind_any_web_server(
    db: None, settings: Any, client: dict[str, str]
) -> None:
    settings.RAINBOW_REGISTRATION_SECRET = DEVELOPMENT

    answer = Rest(DEVELOPMENT, **client).post("register", {"name": "keebler"})

    assert answer.status_code == 403
    assert "set RAINBOW_REGISTRATION_SECRET" in problem_in(answer)["detail"]
    assert Rest("wrong", **client).post("register", {"name": "keebler"}).status_code == 401
    assert Rest(DEVELOPMENT).post("register", {"name": "keebler"}).status_code == 201
    settings.RAINBOW_REGISTRATION_SECRET = OWN
    assert Rest(OWN, **client).post("register", {"name": "oreo"}).status_code == 201
