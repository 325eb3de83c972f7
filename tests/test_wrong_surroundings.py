"""Surroundings that get in the way: proxies, marks of an encoding, full disks."""

import subprocess
from codecs import BOM_UTF8
from pathlib import Path

import pytest

from rainbow.client import Client
from rainbow.errors import InvalidArgument
from tests.support.commandline import MAIN, Run, answer
from tests.support.job_files import GOOD, JobsFile
from tests.support.ports import free_port
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
FULL = Path("/dev/full")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", PROXIES)
def test_no_proxy_stands_before_this_machine(rainbow: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    assert rainbow("jobs").exit_code == 0


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_may_be_in_the_way_is_named_without_its_password(
    rainbow: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://me:hush@127.0.0.1:{free_port()}")

    # A busy machine may need longer to find out that there is no such way.
    for seconds in ("2", "20", "120"):
        result = rainbow("jobs", "--host", "rainbow.invalid", "--timeout", seconds)
        if "did not answer in time" not in result.stderr:
            break

    assert result.exit_code == 6
    assert f"; {name} is set, so that the way may lead through a proxy" in result.stderr.splitlines()[-1]
    assert "hush" not in result.output


def test_the_mark_that_some_editors_begin_a_file_with_is_passed_over(
    rainbow: Run,
    config_file: Path,
    jobs_file: JobsFile,
    remote: Remote,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAINBOW_TOKEN")
    token = tmp_path / "token"
    token.write_bytes(BOM_UTF8 + f"{remote.token}\r\n".encode())
    by_file = rainbow("submit", "--token-file", str(token), "--", "hostname")
    config_file.touch(mode=0o600)
    config_file.write_bytes(BOM_UTF8 + f'[clusters.{remote.name}]\r\ntoken = "{remote.token}"\r\n'.encode())

    outcomes = [
        answer(rainbow("submit", "--json", "--file", jobs_file(BOM_UTF8 + GOOD, GOOD))),
        answer(rainbow("submit", "--json", "--file", jobs_file(BOM_UTF8 + b'{\n"command": "hostname"\n}\n'))),
    ]

    assert by_file.exit_code == 0, by_file.output
    assert [outcome["submitted"] for outcome in outcomes] == [2, 1]
    assert rainbow("rotate", "token", "--save").exit_code == 0
    assert rainbow("jobs").exit_code == 0


def test_a_file_with_more_than_a_credential_is_refused(rainbow: Run, remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{remote.token}\n# of the physicists\n")

    result = rainbow("submit", "--token-file", str(tmp_path / "token"), "--", "hostname")

    assert result.exit_code == 2
    assert "has more than one line; it must hold the credential alone" in result.stderr
    assert remote.token not in result.output


@pytest.mark.skipif(not FULL.exists(), reason="needs a disk that is always full")
@pytest.mark.parametrize("words", [["jobs"], ["jobs", "--json"], ["submit", "--help"], ["submit", "--", "hostname"]])
def test_a_full_disk_is_one_line_and_no_traceback(rainbow: Run, server: RainbowServer, words: list[str]) -> None:
    with FULL.open("w") as full:
        result = subprocess.run([*MAIN, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    *told, last = result.stderr.splitlines()
    assert (result.returncode, last) == (1, "Error: cannot go on: no space left on device")
    assert [line.split()[0] for line in told] == (["Job"] if words[-1] == "hostname" else [])


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 86_401])
def test_a_timeout_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidArgument, match="timeout_seconds: must be more than 0 and at most 86,400"):
        Client(timeout_seconds=seconds)


def test_an_object_on_several_lines_is_told_where_it_breaks(rainbow: Run, jobs_file: JobsFile) -> None:
    result = rainbow("submit", "--file", jobs_file(b'{\n"command": "a"\n}\n{\n"command": "b"\n}\n'))

    assert result.exit_code == 2
    assert "line 1: is not JSON: Extra data at line 4 of it, column 1" in result.stderr
