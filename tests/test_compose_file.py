"""What the services of deploy/compose.yaml have, and whom they reach. test_compose.py runs it."""

from typing import Any

import pytest
import yaml

from tests.support.servers import ROOT

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
SECRETS = ("RAINBOW_REGISTRATION_SECRET", "RAINBOW_SECRET_KEY", "RAINBOW_DATABASE_PASSWORD")


def test_jobs_of_the_agents_container_find_no_secret_of_the_server_there() -> None:
    assert not any(secret in str(SERVICES["agent"]) for secret in SECRETS)
    assert SECRETS[0] in str(SERVICES["register"])


@pytest.mark.parametrize("name", ["server-1", "server-2", "database", "migrate"])
def test_the_agents_container_reaches_nothing_but_the_proxy(name: str) -> None:
    assert not {*SERVICES["agent"]["networks"]} & {*SERVICES[name]["networks"]}
    assert {*SERVICES["agent"]["networks"]} <= {*SERVICES["proxy"]["networks"]}


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"database"}))
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
