"""What a shell completes, and that it never waits for long or prints anything else."""

import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from select import select
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
from tests.support.servers import ROOT


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


def line_in_the_manual(shell: str) -> str:
    """What docs/cli.md says to put into the start-up file of a shell."""
    said = re.search(rf"^\| {shell}.*\| `([^`]+)` \|$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)
    assert said
    return said[1].replace(r"\|", "|")


@pytest.fixture
def at_home(begin: Begin, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with two groups of jobs, whose shells have no start-up files yet."""
    begin(*[groups(g12="sweep", g11="study")] * 2)
    program = tmp_path / "bin" / "rainbow"
    program.parent.mkdir()
    patient = f"from rainbow.terminal import completion; completion.SECONDS = {PATIENCE_SECONDS}"
    program.write_text(f"#!{sys.executable}\nfrom rainbow.cli import main\n{patient}\nmain()\n")
    program.chmod(0o700)
    path = f"{program.parent}:{os.environ['PATH']}"
    return {**os.environ, "HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "xterm"}


def test_bash_completes(at_home: dict[str, str]) -> None:
    script = f"""
        {line_in_the_manual("bash")}
        for word in 12 sw; do
            COMP_WORDS=(rainbow jobs --group $word) COMP_CWORD=3 COMPREPLY=()
            _rainbow_completion rainbow
            echo "${{COMPREPLY[@]}}"
        done
    """

    told = subprocess.run(["bash", "-c", script], env=at_home, capture_output=True, text=True, check=True)

    assert (told.stdout, told.stderr) == ("12\n12\n", "")


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
def test_fish_completes(at_home: dict[str, str]) -> None:
    folder = Path(at_home["HOME"]) / ".config" / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "rainbow.fish").write_text(line_in_the_manual("fish"))
    script = "complete -C 'rainbow jobs --group 1'; complete -C 'rainbow jobs --group sw'; complete -C 'rainbow scan'"

    told = subprocess.run(["fish", "-c", script], env=at_home, capture_output=True, text=True, check=True)

    names = "11\tstudy\n12\tsweep\n12\tsweep\n"
    assert (told.stdout, told.stderr) == (f"{names}scancel\tStop or signal jobs\n", "")


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_completes(at_home: dict[str, str]) -> None:
    lines = ("PS1='ready> '", "autoload -Uz compinit", "compinit -u", line_in_the_manual("zsh"))
    (Path(at_home["HOME"]) / ".zshrc").write_text("\n".join(lines) + "\n")
    person, terminal = os.openpty()
    with subprocess.Popen(["zsh", "-i"], env=at_home, stdin=terminal, stdout=terminal, stderr=terminal) as shell:
        os.close(terminal)
        try:
            read_until(person, "ready> ")
            os.write(person, b"rainbow jobs --group 1\t")
            read_until(person, "12  -- sweep", "11  -- study")
            os.write(person, b"\x15rainbow jobs --group sw\t\x01echo result=$? \n")
            read_until(person, "result=0 rainbow jobs --group 12")
        finally:
            shell.kill()
            os.close(person)


def read_until(terminal: int, *texts: str) -> None:
    """All of them, in any order. Fails once the shell has been silent for long."""
    shown = b""
    while missing := [text for text in texts if text.encode() not in shown]:
        assert select([terminal], [], [], PATIENCE_SECONDS)[0], f"waited for {missing} after {shown!r}"
        shown += os.read(terminal, 65536)
