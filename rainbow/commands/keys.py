from pathlib import Path

import click

from rainbow.signatures import public_text
from rainbow.signing_keys import make_key, read_key
from rainbow.terminal.output import complain, say
from rainbow.terminal.signing import key_path

EPILOG = """\b
Examples:
  rainbow keys new
  rainbow keys show
  rainbow submit --sign -- hostname

Give what `rainbow keys show` prints to the operators of the clusters that run signed jobs, in person or in another way
that they trust. docs/people-at-sites.md says more.
"""
file_option = click.option(
    "--file", metavar="PATH", help="The file of the private key.  [default: signing-key.pem beside the configuration]"
)


@click.group("keys", epilog=EPILOG)
def command() -> None:
    """Make and show the key by which you sign jobs."""


@command.command("new")
@file_option
def new(file: str | None) -> None:
    """Make a key, in a file that only you can read, and print its public part."""
    path = Path(file) if file else key_path()
    key = make_key(path)
    complain(f"The private key is in {path}; nobody else needs it.")
    say(public_text(key))


@command.command("show")
@file_option
def show(file: str | None) -> None:
    """Print the public part of the key, as operators put it into users.toml."""
    say(public_text(read_key(Path(file) if file else key_path())))
