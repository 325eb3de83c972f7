"""rainbow doctor examines the client certificate; no server is needed for that."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority, Pair
from tests.support.commandline import Run


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def examined(run: Run, cert: Path, key: Path | str) -> dict[str, Any]:
    files = ["--cert-file", str(cert), *(["--key-file", str(key)] if key else [])]
    words = ["doctor", "--json", "--host", "no-such-host.invalid", "--cluster-name", "keebler", *files]
    [found] = [check for check in json.loads(run(*words).stdout)["checks"] if check["check"] == "client certificate"]
    return found


def of(run: Run, pair: Pair) -> dict[str, Any]:
    return examined(run, pair.cert, pair.key)


def test_a_good_one_is_for_the_cluster_and_says_when_it_ends(rainbow: Run, authority: Authority) -> None:
    found = of(rainbow, authority.issue("good", names="DNS:keebler"))

    assert (found["verdict"], found["advice"]) == ("ok", "")
    assert found["detail"].startswith("for keebler, valid until 20")


def test_one_that_ends_soon_should_be_renewed(rainbow: Run, authority: Authority) -> None:
    found = of(rainbow, authority.issue("soon", names="DNS:keebler", days=13))

    assert found["verdict"] == "ok"
    assert found["advice"].startswith("Renew it")


@pytest.mark.parametrize(
    ("names", "days", "detail"),
    [
        ("DNS:keebler", -1, "expired at 20"),
        ("DNS:oreo", 20, "is for oreo, not for keebler"),
        ("", 20, "is for no cluster, not for keebler"),
    ],
)
def test_one_that_no_server_takes_is_said_to_be_wrong(
    rainbow: Run, authority: Authority, names: str, days: int, detail: str
) -> None:
    found = of(rainbow, authority.issue("keebler", names=names, days=days))

    assert found["verdict"] == "failed"
    assert detail in found["detail"]
    assert found["advice"]


def test_a_key_of_another_and_files_that_are_not_there_are_said(rainbow: Run, authority: Authority) -> None:
    one, other = authority.issue("one", names="DNS:keebler"), authority.issue("other", names="DNS:keebler")

    assert "not a certificate and its private key" in examined(rainbow, one.cert, other.key)["detail"]
    assert "no such file" in examined(rainbow, one.cert, one.key.with_name("none"))["detail"]
    assert "go together" in examined(rainbow, one.cert, "")["detail"]


def test_a_servers_certificate_is_none_for_clients(rainbow: Run, authority: Authority) -> None:
    only_for_servers = "DNS:keebler\nextendedKeyUsage=serverAuth"

    found = of(rainbow, authority.issue("server", names=only_for_servers))

    assert found["verdict"] == "failed"
    assert "purpose" in found["detail"]
