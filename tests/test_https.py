"""Clients that come over TLS, by our certificate or a proxy's: cookies and pages that never go without."""

import subprocess
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from tests.support.certificates import make_certificate
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, RainbowServer, environment_for
from tests.support.web import get, registered

KEY = "for-the-tests-only-and-long-enough-to-be-taken-for-a-secret"
TO_LOGIN = "/admin/login/"


def check_deploy(database: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = environment_for(f"sqlite:///{database}", RAINBOW_SECRET_KEY=KEY, **settings)
    command = [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def test_nothing_is_left_to_say_of_a_server_with_a_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    result = check_deploy(tmp_path / "db", RAINBOW_TLS_CERT=str(certificate), RAINBOW_TLS_KEY=str(key))

    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_is_left_to_say_of_a_server_behind_a_proxy(tmp_path: Path) -> None:
    result = check_deploy(tmp_path / "db", RAINBOW_PROXIES="1")

    assert (result.returncode, result.stderr) == (0, "")


def test_a_server_without_tls_is_told_what_it_lacks(tmp_path: Path) -> None:
    result = check_deploy(tmp_path / "db")

    assert result.returncode == 1
    assert "SESSION_COOKIE_SECURE" in result.stderr


def test_a_server_cannot_speak_https_without_a_certificate_or_a_proxy(tmp_path: Path) -> None:
    result = check_deploy(tmp_path / "db", RAINBOW_HTTPS="true")

    assert result.returncode == 1
    assert result.stderr.startswith("WrongSetting: RAINBOW_HTTPS: needs RAINBOW_TLS_CERT and RAINBOW_TLS_KEY, or RAIN")


def test_cookies_over_tls_are_for_tls_alone_and_for_no_script(tls_web_server: RainbowServer) -> None:
    page = get(tls_web_server, TO_LOGIN)

    [cookie] = SimpleCookie(page.headers["set-cookie"]).values()
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert page.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.django_db
def test_the_session_is_for_tls_alone_and_for_no_script(client: Client, settings: pytest.FixtureRequest) -> None:
    settings.SESSION_COOKIE_SECURE = True
    get_user_model().objects.create_user("ada", password=KEY, is_staff=True)

    client.post(TO_LOGIN, {"username": "ada", "password": KEY}, secure=True)

    cookie = client.cookies["sessionid"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")


def test_a_proxy_says_how_the_client_came(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(with_web=True, environment={"RAINBOW_PROXIES": "1"})

    came_plainly = get(server, TO_LOGIN, X_Forwarded_Proto="http")
    encrypted = get(server, TO_LOGIN, X_Forwarded_Proto="https")

    assert (came_plainly.status, came_plainly.headers["location"][:8]) == (301, "https://")
    assert encrypted.status == 200
    assert "; Secure" in encrypted.headers["set-cookie"]
    assert [get(server, path).status for path in ("/healthz", "/readyz")] == [200, 200], "probes come past the proxy"


def test_a_proxy_may_do_without_tls(start_server: Callable[..., RainbowServer]) -> None:
    server = start_server(with_web=True, environment={"RAINBOW_PROXIES": "1", "RAINBOW_HTTPS": "false"})

    page = get(server, TO_LOGIN)

    assert page.status == 200
    assert "Secure" not in page.headers["set-cookie"]
    assert "strict-transport-security" not in page.headers


def test_nobody_else_is_believed_to_come_over_tls(web_server: RainbowServer) -> None:
    """Without a proxy of ours the header is anybody's."""
    guest = registered(web_server)
    for _ in range(2):
        guest.submit_over_grpc("hostname")

    page = get(web_server, "/api/v1/jobs?page_size=1", bearer=guest.token, X_Forwarded_Proto="https")

    assert page.json["next"].startswith("http://")
