import click

from rainbow import __version__
from rainbow.terminal.options import json_option, server_options
from rainbow.terminal.output import say, write_json


# The original takes its common flags here as well.
@click.command("version")
@server_options
@json_option
def command(as_json: bool) -> None:
    """Show the version."""
    if as_json:
        write_json({"version": __version__})
    else:
        say(f"rainbow {__version__}")
