"""Options that several commands share. Their values are in the context, not in a command's arguments."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rainbow.errors import why
from rainbow.executors.containers import RUNTIMES
from rainbow.retries import LONGEST_TIMEOUT_SECONDS
from rainbow.states import JobState
from rainbow.telemetry.lines import FORMATS
from rainbow.terminal.types import Number, Pair, as_mapping

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]
HOST_HELP = "The server; port 50051 unless said.  [env: RAINBOW_HOST; default: localhost:50051]"
CLUSTER_HELP = "The cluster.  [env: RAINBOW_CLUSTER; default: keebler]"
TLS_HELP = "Encrypt the connection.  [env: RAINBOW_TLS; default: no]"
CA_HELP = "PEM certificates to trust; turns TLS on.  [env: RAINBOW_CA_FILE]"
CERT_HELP = "PEM certificate of this client; turns TLS on.  [env: RAINBOW_CERT_FILE]"
KEY_HELP = "PEM file of that certificate's key.  [env: RAINBOW_KEY_FILE]"
TIMEOUT_HELP = "How long to try, in seconds, waiting for jobs apart.  [default: 10]"
AS_CLUSTER_HELP = "Use the cluster's secret, which reaches all of its jobs; the token reaches its own."
CREDENTIAL = "rainbow.credential"
SECRET_FILE = "rainbow.secret_file"
STANDARD_INPUT = "-"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
STATES = [state.value for state in JobState if state != JobState.UNSPECIFIED]


# More than nothing, and at most a day.
TIMEOUT = Number(min=0, max=LONGEST_TIMEOUT_SECONDS, min_open=True)


def flags(ctx: click.Context) -> dict[str, Any]:
    """What the command line set, by setting."""
    return ctx.ensure_object(dict)


def flag_names(ctx: click.Context) -> dict[str, str]:
    names: dict[str, str] = ctx.meta.setdefault("rainbow.flag_names", {})
    return names


def use_credential(ctx: click.Context, described: str) -> None:
    ctx.meta[CREDENTIAL] = described


def credential_in_use(ctx: click.Context) -> str:
    words: str = ctx.meta.get(CREDENTIAL, "")
    return words


def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is None:
        return
    if param.name == "host" and not value.strip():
        raise click.UsageError("--host is empty; it must be HOST or HOST:PORT, without http://.", ctx)
    flags(ctx)[str(param.name)] = value
    flag_names(ctx)[str(param.name)] = param.opts[0]


def remembered(*names: str, **attributes: Any) -> Decorator[Any]:
    return click.option(*names, expose_value=False, callback=remember, **attributes)


def completed_cluster_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
    """Loads what this takes, a client among it, only for a shell that asks."""
    return importlib.import_module("rainbow.terminal.completion").cluster_names(ctx, param, incomplete)


def server_options(command: Command) -> Command:
    """The server and the cluster; these options may also stand before the command."""
    return _with_options(
        command,
        remembered("--host", metavar="HOST[:PORT]", help=HOST_HELP),
        remembered(
            "--cluster-name", "cluster", metavar="NAME", help=CLUSTER_HELP, shell_complete=completed_cluster_names
        ),
        remembered("--tls/--no-tls", default=None, help=TLS_HELP),
        remembered("--ca-file", metavar="PATH", help=CA_HELP),
        remembered("--cert-file", metavar="PATH", help=CERT_HELP),
        remembered("--key-file", metavar="PATH", help=KEY_HELP),
        remembered("--timeout", type=TIMEOUT, metavar="SECONDS", help=TIMEOUT_HELP),
    )


def token_options(command: Command) -> Command:
    text = "The cluster's token.  [env: RAINBOW_TOKEN]"
    return _with_options(command, *_credential("token", "--token", text=text))


def secret_options(command: Command) -> Command:
    text = "The cluster's secret.  [env: RAINBOW_SECRET]"
    return _with_options(command, *_credential("secret", "--request-secret", text=text))


def secret_file_option(command: Command) -> Command:
    """For long-running commands: an option with the secret itself would show it in the process list."""

    def take_file(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
        if path is not None and not _is_left_alone(ctx, path):
            text = _from_stdin() if path == STANDARD_INPUT else _from_file(path)
            ctx.meta[SECRET_FILE] = path
            _remember_once(ctx, "secret", text, flag="--request-secret", said_by="--request-secret-file")

    text = "A file that holds the cluster's secret; `-` reads standard input."
    return click.option("--request-secret-file", metavar="PATH", expose_value=False, callback=take_file, help=text)(
        command
    )


def secret_from_file_again(ctx: click.Context) -> str | None:
    """Reads the file of --request-secret-file again; None without it, and for standard input."""
    path: str | None = ctx.meta.get(SECRET_FILE)
    return None if path in (None, STANDARD_INPUT) else _from_file(path)


def registration_secret_options(command: Command) -> Command:
    text = "The server's registration secret.  [env: RAINBOW_REGISTRATION_SECRET; default: chocolate-cookies]"
    return _with_options(command, *_credential("registration_secret", "-s", "--secret", text=text))


def observer_options(command: Command) -> Command:
    as_cluster = click.option("--as-cluster", is_flag=True, help=AS_CLUSTER_HELP)
    return _with_options(command, token_options, secret_options, as_cluster)


def log_options(command: Command) -> Command:
    """Passes `log_format` and `log_level`."""
    return _with_options(
        command,
        click.option(
            "--log-format",
            type=click.Choice(list(FORMATS), case_sensitive=False),
            default="text",
            envvar="RAINBOW_LOG_FORMAT",
            help="Lines for people, or JSON for programs.  [env: RAINBOW_LOG_FORMAT; default: text]",
        ),
        click.option(
            "--log-level",
            type=click.Choice(LOG_LEVELS, case_sensitive=False),
            default="INFO",
            envvar="RAINBOW_LOG_LEVEL",
            help="The least that it logs; DEBUG has every call.  [env: RAINBOW_LOG_LEVEL; default: INFO]",
        ),
    )


def label_option(text: str) -> Decorator[Any]:
    return click.option(
        "--label", "labels", type=Pair(), multiple=True, callback=as_mapping, metavar="NAME=VALUE", help=text
    )


def state_option(text: str) -> Decorator[Any]:
    return click.option("--state", "states", type=click.Choice(STATES), multiple=True, help=text)


def scheduler_option(command: Command) -> Command:
    return click.option(
        "--scheduler-option",
        "scheduler_options",
        multiple=True,
        metavar="WORD",
        help="An option for each submission, such as --partition=debug; repeatable.",
    )(command)


def container_options(command: Command) -> Command:
    return _with_options(
        command,
        click.option(
            "--container-runtime",
            type=click.Choice(list(RUNTIMES)),
            help="What runs the jobs that name an image.  [default: none, such jobs are refused]",
        ),
        click.option(
            "--container-option",
            "container_options",
            multiple=True,
            metavar="WORD",
            help="An option for each start of a container, such as --shm-size=8g; repeatable.",
        ),
        click.option(
            "--container-pull", is_flag=True, help="Fetch images that are not there.  [default: such jobs fail]"
        ),
    )


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def _with_options(command: Command, *decorators: Decorator[Any]) -> Command:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def _credential(setting: str, *names: str, text: str) -> tuple[Decorator[Any], Decorator[Any]]:
    flag = names[-1]

    def take_value(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None and not _is_left_alone(ctx, value):
            _remember_once(ctx, setting, _from_stdin() if value == STANDARD_INPUT else value, flag=flag, said_by=flag)

    def take_file(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
        if path is not None:
            _remember_once(ctx, setting, _from_file(path), flag=flag, said_by=f"{flag}-file")

    value_help, file_help = f"{text}  `-` reads standard input.", f"A file that holds what {flag} would say."
    return (
        click.option(*names, metavar="VALUE", expose_value=False, callback=take_value, help=value_help),
        click.option(f"{flag}-file", metavar="PATH", expose_value=False, callback=take_file, help=file_help),
    )


def _remember_once(ctx: click.Context, setting: str, value: str, *, flag: str, said_by: str) -> None:
    if setting in flags(ctx):
        raise click.UsageError(f"Give either {flag} or {flag}-file, not both.", ctx)
    if not value:
        raise click.UsageError(f"{said_by} is empty.", ctx)
    flags(ctx)[setting] = value
    flag_names(ctx)[setting] = said_by


def _is_left_alone(ctx: click.Context, value: str) -> bool:
    """A shell that completes a command has its terminal for standard input, and would wait for a line of it."""
    return ctx.resilient_parsing and value == STANDARD_INPUT


def _from_stdin() -> str:
    """One line, and no byte more: the rest may be a file of jobs."""
    return sys.stdin.buffer.readline().decode(errors="replace").strip()


def _from_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"cannot read {path}: {why(error)}") from error
    if "\n" in text:
        raise click.UsageError(f"{path} has more than one line; it must hold the credential alone.")
    return text
