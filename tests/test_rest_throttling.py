"""Whoever tries credentials that are not good is slowed down; whoever has a good one is not."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from clusters.models import FailedAttempts
from clusters.services.throttle import WINDOW, note_failure, seconds_blocked, source_at
from tests.conftest import Member
from tests.support.rest import Rest, problem_in, puller, submitter
from tests.support.servers import DEFAULT_WEB_WORKERS, RainbowServer
from tests.support.web import get, registered

pytestmark = pytest.mark.django_db

LIMIT = 30


def test_an_address_has_thirty_guesses_a_minute(alpha: Member) -> None:
    answers = [Rest("wrong").get("jobs") for _ in range(LIMIT + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {401}
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    problem_in(answers[-1])


def test_a_good_credential_passes_however_many_others_guess(alpha: Member) -> None:
    for _ in range(LIMIT + 5):
        Rest("wrong").get("clusters/alpha/queue")

    assert submitter(alpha).get("jobs").status_code == 200
    assert puller(alpha).get("clusters/alpha/queue").status_code == 200


def test_guesses_at_one_cluster_from_everywhere_are_counted_together(alpha: Member) -> None:
    answers = [
        Rest("wrong", REMOTE_ADDR=f"203.0.113.{number}").get("clusters/alpha/queue") for number in range(LIMIT + 1)
    ]

    assert answers[-2].status_code == 401
    assert answers[-1].status_code == 429
    assert Rest("wrong", REMOTE_ADDR="203.0.113.99").get("clusters/beta/queue").status_code == 401


def test_the_registration_secret_is_not_even_looked_at_while_its_address_is_blocked(db: None, settings) -> None:
    settings.RAINBOW_REGISTRATION_SECRET = "right"
    for _ in range(LIMIT):
        Rest("wrong").post("register", {"name": "keebler"})

    assert Rest("right").post("register", {"name": "keebler"}).status_code == 429
    assert Rest("right", REMOTE_ADDR="203.0.113.1").post("register", {"name": "keebler"}).status_code == 201


def test_an_old_token_in_somebodys_script_keeps_no_cluster_from_registering(alpha: Member, settings) -> None:
    settings.RAINBOW_REGISTRATION_SECRET = "right"
    for _ in range(LIMIT + 5):
        Rest("wrong").get("jobs")

    assert Rest("right").post("register", {"name": "keebler"}).status_code == 201


def test_a_missing_credential_and_a_mistake_in_the_input_are_no_guesses(alpha: Member) -> None:
    for _ in range(LIMIT + 5):
        Rest().get("jobs")
        submitter(alpha).post("jobs", {})

    assert not FailedAttempts.objects.exists()


def test_a_window_ends(db: None, now: datetime) -> None:
    for _ in range(LIMIT):
        note_failure(["address 203.0.113.1"], now=now)

    assert seconds_blocked(["address 203.0.113.1"], now=now + timedelta(seconds=20)) == 40
    assert seconds_blocked(["address 203.0.113.1"], now=now + WINDOW) == 0


def test_old_windows_are_cleared_away(db: None, now: datetime) -> None:
    note_failure(["address 203.0.113.1"], now=now)

    note_failure(["address 203.0.113.2"], now=now + timedelta(hours=2))

    assert [row.source for row in FailedAttempts.objects.all()] == ["address 203.0.113.2"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
        ("x:" * 60, ("x:" * 60)[:40]),
    ],
)
def test_the_addresses_of_one_ipv6_network_are_counted_together(address: str, counted: str) -> None:
    assert source_at(address) == f"address {counted}"


def test_all_processes_count_together(start_server: Callable[..., RainbowServer]) -> None:
    """The server has two."""
    web_server = start_server(with_web=True, environment=DEFAULT_WEB_WORKERS)
    guest = registered(web_server)
    path = f"/api/v1/clusters/{guest.name}/queue"

    statuses = [get(web_server, path, bearer="wrong").status for _ in range(LIMIT + 10)]

    assert statuses.count(401) <= LIMIT
    assert statuses[-1] == 429
    assert get(web_server, path, bearer=guest.secret).status == 200


def test_only_as_many_proxies_are_believed_as_there_are(alpha: Member, settings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    Rest("wrong").get("jobs", X_Forwarded_For="203.0.113.9, 198.51.100.7")
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 0}
    Rest("wrong").get("jobs", X_Forwarded_For="203.0.113.9")

    sources = set(FailedAttempts.objects.values_list("source", flat=True))
    assert sources == {"address 198.51.100.7", "address 127.0.0.1"}
