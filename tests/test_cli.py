"""The command line: registering, settings and credentials, and its manual."""

import stat
import tomllib
from pathlib import Path
from uuid import uuid4

import click
import pytest

from rainbow import __version__
from rainbow.cli import COMMANDS, EXIT_CODES, INTERRUPTED, PIPE_CLOSED, UNEXPECTED, main
from rainbow.config import DEFAULTS, settings
from rainbow.terminal.saving import try_to_save
from tests.support.commandline import Run, answer
from tests.support.ports import free_port
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

# Of the original's commands; all of them also take --host and --cluster-name.
FLAGS = {
    "register": "-s --secret",
    "submit": "--token -n --nodes -t --tasks -c --command --job-name",
    "request": "--request-secret -j --max-jobs --accept --accept-jobs",
    "version": "",
}
MANUAL = Path(__file__).parent.parent / "docs" / "cli.md"


@pytest.mark.parametrize(("name", "names"), FLAGS.items())
def test_every_flag_of_the_original_is_there(name: str, names: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command

    known = {flag for parameter in command.params for flag in parameter.opts}

    assert {*names.split(), "--host", "--cluster-name"} <= known


def test_a_cluster_is_registered_and_its_credentials_are_shown(stranger: Run) -> None:
    name = f"c-{uuid4().hex}"

    result = stranger("register", "--cluster-name", name)

    assert result.exit_code == 0
    assert f"Registered the cluster {name}" in result.stdout
    assert "token:  " in result.stdout
    assert "secret: " in result.stdout
    assert "not shown again" in result.stderr


def test_of_a_name_that_is_taken_the_file_is_named_that_has_its_credentials(stranger: Run, config_file: Path) -> None:
    mine, other = f"c-{uuid4().hex}", f"c-{uuid4().hex}"
    stranger("register", "--cluster-name", mine, "--save")
    stranger("register", "--cluster-name", other)

    again, of_another = (stranger("register", "--cluster-name", name, "--save") for name in (mine, other))

    assert again.exit_code == of_another.exit_code == 5
    assert again.stderr.startswith(f"Error: {mine} is registered already; credentials of it are in {config_file}")
    assert "; its credentials are with those who registered it" in of_another.stderr


def test_a_script_gets_the_credentials_as_json(stranger: Run) -> None:
    new = answer(stranger("register", "--cluster-name", f"c-{uuid4().hex}", "--json"))

    assert list(new) == ["cluster", "token", "secret", "saved_to"]
    assert new["token"] != new["secret"]
    assert new["saved_to"] is None


def test_saved_credentials_are_not_shown_and_serve_from_then_on(
    stranger: Run, config_file: Path, server: RainbowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"c-{uuid4().hex}"

    saved = stranger("register", "--cluster-name", name, "--save")
    monkeypatch.delenv("RAINBOW_HOST")
    submitted = stranger("submit", "--", "hostname")
    requested = stranger("request", "--accept", "1")

    assert "token: " not in saved.output
    assert str(config_file) in saved.stdout
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    assert (saved.exit_code, submitted.exit_code, requested.exit_code) == (0, 0, 0)


def test_saving_with_json_says_where_the_credentials_are(stranger: Run, config_file: Path) -> None:
    new = answer(stranger("register", "--cluster-name", f"c-{uuid4().hex}", "--save", "--json"))

    assert (new["token"], new["secret"], new["saved_to"]) == (None, None, str(config_file))


def test_what_is_saved_serves_from_every_folder_and_says_whether_to_encrypt(
    tmp_path: Path, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    new = {"token": "t", "secret": "s"}
    saved = []
    for flags in ({"ca_file": "ca.pem"}, {"tls": False}):
        assert try_to_save(settings(flags), new)
        saved.append(tomllib.loads(config_file.read_text())["clusters"]["keebler"])

    assert (saved[0]["tls"], saved[0]["ca_file"]) == (True, str(tmp_path / "ca.pem"))
    assert saved[1]["tls"] is False
    assert settings({}).ca_file == ""


def test_credentials_that_cannot_be_saved_are_shown_rather_than_lost(stranger: Run, config_file: Path) -> None:
    config_file.write_text('clusters = {beta = {host = "h:1"}}\n')
    config_file.chmod(0o600)

    result = stranger("register", "--cluster-name", f"c-{uuid4().hex}", "--save")

    assert result.exit_code == 1
    assert "edit it by hand" in result.stderr
    assert "token:  " in result.stdout


def test_a_file_that_is_refused_keeps_a_cluster_from_being_registered(stranger: Run, config_file: Path) -> None:
    name = f"c-{uuid4().hex}"
    config_file.write_text('token = "t"\n')
    config_file.chmod(0o644)

    refused = stranger("register", "--cluster-name", name, "--save")
    config_file.chmod(0o600)
    accepted = stranger("register", "--cluster-name", name, "--save")

    assert refused.exit_code == 2
    assert f"chmod 600 {config_file}" in refused.stderr
    assert accepted.exit_code == 0


def test_the_server_and_the_cluster_may_be_named_before_the_command_or_after(
    rainbow: Run, server: RainbowServer, monkeypatch: pytest.MonkeyPatch, remote: Remote
) -> None:
    monkeypatch.setenv("RAINBOW_HOST", "nowhere.invalid:1")
    monkeypatch.setenv("RAINBOW_CLUSTER", "nothing")
    where = ("--host", server.address, "--cluster-name", remote.name)

    before = rainbow(*where, "submit", "--", "hostname")
    after = rainbow("--host", "nowhere.invalid:2", "submit", *where, "--", "hostname")

    assert (before.exit_code, after.exit_code) == (0, 0)


def test_a_replaced_token_is_saved_for_the_next_command(
    rainbow: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAINBOW_TOKEN")

    rotated = rainbow("rotate", "token", "--grace", "0", "--save")

    assert rotated.exit_code == 0
    assert f"is in {config_file}" in rotated.stdout
    assert rainbow("submit", "--", "hostname").exit_code == 0


def test_a_replaced_secret_is_shown_once(rainbow: Run) -> None:
    result = rainbow("rotate", "secret", "--grace", "1h")

    assert result.stdout.startswith("secret: ")
    assert "The old value stops working at" in result.stderr


def test_the_version_is_told(stranger: Run) -> None:
    assert stranger("version", "--client").stdout == f"rainbow {__version__}\n" == stranger("--version").stdout
    assert answer(stranger("version", "--client", "--json")) == {"version": __version__, "server_version": None}


def test_the_server_tells_its_version(stranger: Run) -> None:
    assert stranger("version").stdout == f"rainbow {__version__}\nserver  {__version__}\n"
    assert answer(stranger("version", "--json")) == {"version": __version__, "server_version": __version__}


def test_the_version_is_told_where_no_server_is(stranger: Run) -> None:
    told = stranger("version", "--timeout", "0.2", "--host", f"127.0.0.1:{free_port()}")

    assert (told.exit_code, told.stdout) == (0, f"rainbow {__version__}\n")
    assert told.stderr.startswith("The server's version is not known: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_manual_has_every_command_and_every_option(name: str) -> None:
    sections = dict(section.split("\n", 1) for section in MANUAL.read_text().split("\n## ")[1:])
    everywhere = sections["What all commands share"]

    command = main.get_command(click.Context(main), name)

    assert command is not None
    text = sections[f"rainbow {name}"]
    flags = [flag for option in command.params if option.opts[0].startswith("-") for flag in option.opts]
    assert [flag for flag in flags if f"`{flag}" not in text + everywhere] == []


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_manual_has_every_setting(name: str) -> None:
    text = MANUAL.read_text()

    assert f"`RAINBOW_{name.upper()}`" in text
    assert f"`{name}`" in text


def test_the_manual_has_every_exit_code() -> None:
    text = MANUAL.read_text()

    codes = {0, UNEXPECTED, INTERRUPTED, PIPE_CLOSED, *EXIT_CODES.values()}

    assert [code for code in sorted(codes) if f"| {code} |" not in text] == []
