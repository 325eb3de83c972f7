"""What a shell completes, and that it never waits for long or prints anything else."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.shell_completion import ShellComplete

from rainbow.cli import COMMANDS, main
from rainbow.protos import rainbow_pb2 as pb
from rainbow.terminal import completion
from tests.support.commandline import Begin
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port


@pytest.fixture
def begin(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> Begin:
    monkeypatch.setattr(completion, "SECONDS", PATIENCE_SECONDS)
    return begin


def completed(*words: str) -> list[str]:
    """By the last of these words, which is incomplete."""
    *before, incomplete = words
    found = ShellComplete(main, {}, "rainbow", "_RAINBOW_COMPLETE").get_completions(before, incomplete)
    return [item.value for item in found]


def clusters(*names: str) -> pb.ListClustersResponse:
    return pb.ListClustersResponse(clusters=[pb.Cluster(name=name) for name in names])


def groups(**names: str) -> pb.ListGroupsResponse:
    """Of names by id, as `g12`."""
    found = [pb.JobGroup(id=int(key.removeprefix("g")), name=name) for key, name in names.items()]
    for group in found:
        group.made_at.FromDatetime(datetime.now(UTC))
    return pb.ListGroupsResponse(groups=found)


def test_commands_are_completed_and_none_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "get_command", lambda ctx, name: pytest.fail(f"loads {name}"))

    assert completed("") == list(COMMANDS)
    assert completed("sc") == ["scancel"]


@pytest.mark.parametrize(
    "words",
    [
        ["--cluster-name"],
        ["jobs", "--cluster-name"],
        ["clusters"],
        ["submit", "--prefer"],
        ["tokens", "create", "--at"],
        ["squeue", "-M"],
    ],
    ids=" ".join,
)
def test_clusters_and_pools_are_completed_from_the_file_and_the_server(
    begin: Begin, config_file: Path, words: list[str]
) -> None:
    config_file.write_text("[clusters.keebler]\n[clusters.beta]\n")
    config_file.chmod(0o600)
    begin(clusters("kraken", "keebler", "all"))

    assert completed(*words, "k") == ["keebler", "kraken"]


@pytest.mark.parametrize("command", ["submit", "resubmit", "tokens create"])
def test_projects_are_completed(begin: Begin, command: str) -> None:
    projects = [pb.Project(name=name) for name in ("fusion", "climate")]
    begin(pb.WhoAmIResponse(kind=pb.CREDENTIAL_KIND_PERSONAL, person="ada", projects=projects))

    assert completed(*command.split(), "--project", "") == ["fusion", "climate"]


@pytest.mark.parametrize(
    "words",
    [["jobs", "--group"], ["cancel", "--group"], ["watch", "--group"], ["logs", "--group"], ["group"],
     ["resubmit", "--failed-of"], ["submit", "--group"]],
    ids=" ".join,
)  # fmt: skip
def test_groups_are_completed_by_id_and_by_name(begin: Begin, words: list[str]) -> None:
    answer = groups(g12="sweep", g11="study", g2="sweep")
    begin(answer, answer)

    assert [completed(*words, incomplete) for incomplete in ("1", "sw")] == [["12", "11"], ["12", "2"]]


@pytest.mark.parametrize("name", ["$(reboot)", "a b", "a;b", "--tls", "a\nplain,b", "`id`", ""])
def test_a_server_puts_nothing_but_words_into_a_command(begin: Begin, name: str) -> None:
    begin(clusters("good", name))

    assert completed("clusters", "") in ([], ["good"])


@pytest.mark.parametrize("failure", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INTERNAL], ids=str)
def test_a_refusal_is_silent(begin: Begin, config_file: Path, capfd: pytest.CaptureFixture[str], failure: Any) -> None:
    config_file.write_text("[clusters.keebler]\n")
    config_file.chmod(0o600)
    begin(failure)

    assert completed("clusters", "") == ["keebler"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text", ["not TOML", "clusters = 7", "colour = 1"], ids=["no TOML", "no tables", "unknown setting"]
)
def test_a_broken_file_and_no_server_are_silent(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    config_file.write_text(text)
    config_file.chmod(0o600)
    monkeypatch.setenv("RAINBOW_HOST", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("RAINBOW_TOKEN", "t")
    monkeypatch.setattr(completion, "SECONDS", 0.2)
    began = time.monotonic()

    assert completed("jobs", "--token", "-", "--group", "") == []
    assert capfd.readouterr() == ("", "")
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_bash_completes(begin: Begin, tmp_path: Path) -> None:
    begin(groups(g12="sweep"))
    program = tmp_path / "rainbow"
    program.write_text(f"#!{sys.executable}\nfrom rainbow.cli import main\nmain()\n")
    program.chmod(0o700)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(_RAINBOW_COMPLETE=bash_source rainbow)"
        COMP_WORDS=(rainbow jobs --group 1) COMP_CWORD=3
        _rainbow_completion rainbow
        echo "${{COMPREPLY[@]}}"
    """

    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert (told.stdout, told.stderr) == ("12\n", "")
