"""The `rainbow` command.

Its commands are loaded one at a time, when they are used: grpc and rich would make every `--help` wait.
"""

import importlib
import os
import sys
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

from rainbow import __version__
from rainbow.errors import RainbowError, Unauthenticated, Unreachable, why
from rainbow.telemetry import traces
from rainbow.terminal import streams
from rainbow.terminal.option_names import as_typed
from rainbow.terminal.options import credential_in_use, server_options
from rainbow.terminal.output import complain

COMMANDS = {
    "register": "Add a cluster, and get its token and its secret.",
    "submit": "Queue a job for a cluster.",
    "resubmit": "Queue jobs again, as new ones.",
    "request": "See which jobs wait for the cluster, and accept some.",
    "jobs": "List jobs, newest first.",
    "job": "Show one job, with what happened to it.",
    "groups": "List groups of jobs, newest first.",
    "group": "Show one group: how many of its jobs are in each state, and the first that failed.",
    "watch": "Show each step of jobs, until they are over.",
    "wait": "Wait until jobs are over.",
    "logs": "Print what a job wrote.",
    "fetch": "Fetch files that a job wrote.",
    "cancel": "Stop jobs.",
    "signal": "Send a signal to all processes of running jobs, by their clusters' agents, within a second.",
    "summary": "Count a cluster's jobs in each state.",
    "clusters": "List the clusters that you may use, and what they have.",
    "resume": "Let a cluster get its jobs again.",
    "sbatch": "Queue a batch script of Slurm.",
    "squeue": "List waiting and running jobs, as Slurm's squeue does.",
    "scancel": "Stop or signal jobs, as Slurm's scancel does.",
    "sacct": "List jobs with how they ended, as Slurm's sacct does.",
    "login": "Sign in, and keep a token of yours on this machine.",
    "logout": "Revoke the token that this machine keeps, and forget it.",
    "whoami": "Show whose the credential is, and its projects.",
    "projects": "List your projects, and the clusters that they may use.",
    "tokens": "List, make and revoke your tokens.",
    "leak": "Revoke a credential that leaked, and list what was done with it.",
    "keys": "Make and show the key by which you sign jobs.",
    "rotate": "Replace the cluster's token or secret.",
    "agent": "Run the cluster's jobs by its scheduler.",
    "doctor": "Check what an agent needs, and say what to do.",
    "version": "Show the versions of this client and of the server.",
}
DENIED = "request denied"  # all that a server says of a credential
UNEXPECTED = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE
EXIT_CODES = {
    "INVALID_ARGUMENT": 2,
    "UNAUTHENTICATED": 3,
    "PERMISSION_DENIED": 3,
    "NOT_FOUND": 4,
    "ALREADY_EXISTS": 5,
    "FAILED_PRECONDITION": 5,
    "RESOURCE_EXHAUSTED": 5,
    "UNAVAILABLE": 6,
    "DEADLINE_EXCEEDED": 6,
}
EPILOG = """\b
Exit codes:
  0  done
  1  the server answered something unexpected
  2  wrong usage, or an invalid argument
  3  a credential is missing or was refused
  4  not found
  5  a conflict, or not everything could be done
  6  the server cannot be reached, or did not answer in time

\b
Settings come from flags, then from RAINBOW_HOST, RAINBOW_CLUSTER, RAINBOW_TOKEN,
RAINBOW_SECRET, RAINBOW_REGISTRATION_SECRET, RAINBOW_TLS, RAINBOW_CA_FILE,
RAINBOW_CERT_FILE, RAINBOW_KEY_FILE, RAINBOW_SIGN and
RAINBOW_SIGNING_KEY, then from a file that `rainbow register --save` writes (RAINBOW_CONFIG says where).
"""


# By what is in the way of a connection.
HINTS = {
    "that is an HTTP port": "--host names the port of gRPC",
    "its certificate is not trusted": "--ca-file names a certificate to trust",
    "perhaps it wants a client certificate": "--cert-file and --key-file name one",
    "perhaps it speaks only TLS": "--tls encrypts",
    "it does not speak TLS": "--no-tls does without, and credentials then travel readable",
}


class LazyGroup(click.Group):
    """Loads a command's module only to run it, and ends every failure with a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        importlib.import_module("rainbow.config").silence_grpc()
        command: click.Command = importlib.import_module(f"rainbow.commands.{cmd_name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Loads no command."""
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "rainbow --help lists them."
        raise click.UsageError(f"No such command {name!r}; {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **options: Any) -> Any:
        streams.make_usable()
        try:
            return super().main(*args, **options)
        except OSError as error:  # the output's disk is full, say; of other files the commands tell themselves
            _stop_writing()
            where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
            complain(f"Error: cannot go on: {where}{why(error)}")
            sys.exit(UNEXPECTED)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*args, **options)
        except BrokenPipeError as error:  # of help, or of the version
            _stop_writing()
            raise click.exceptions.Exit(PIPE_CLOSED) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RainbowError as error:
            complain("\n".join([f"Error: {_told(ctx, error)}", *getattr(error, "__notes__", ())]))
            ctx.exit(EXIT_CODES.get(error.code, UNEXPECTED))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            _stop_writing()
            ctx.exit(PIPE_CLOSED)
        finally:
            traces.switch_off()


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="rainbow %(version)s")
@server_options
def main() -> None:
    """Dispatch jobs to clusters that cannot be reached from outside.

    \b
    rainbow register --cluster-name keebler --save
    rainbow submit -- hostname
    rainbow request --accept 1
    """


def _told(ctx: click.Context, error: RainbowError) -> str:
    """The failure in the words of the command line."""
    if isinstance(error, Unauthenticated) and error.message == DENIED:
        return ": ".join(filter(None, (DENIED, credential_in_use(ctx))))
    if EXIT_CODES.get(error.code, UNEXPECTED) == UNEXPECTED and error.request_id:
        return f"{error} (request {error.request_id})"
    name = ctx.invoked_subcommand
    command = ctx.command.get_command(ctx, name) if name and isinstance(ctx.command, click.Group) else None
    return as_typed(error, command) + (_way_around(error.message) if isinstance(error, Unreachable) else "")


def _way_around(obstacle: str) -> str:
    hint = next((hint for words, hint in HINTS.items() if words in obstacle), "`rainbow doctor` looks for the cause")
    return f"; {hint}"


def _stop_writing() -> None:
    """Keep the interpreter from flushing into the closed pipe once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
