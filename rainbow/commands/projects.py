import click

from rainbow.terminal import session
from rainbow.terminal.options import json_option, server_options, token_options
from rainbow.terminal.output import say, write_json
from rainbow.terminal.people import show_projects

EPILOG = """\b
Examples:
  rainbow projects
  rainbow projects --json
"""


@click.command("projects", epilog=EPILOG)
@server_options
@token_options
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List your projects, and the clusters that they may use."""
    with session.person(ctx) as client:
        found = client.who_am_i().projects
    if as_json:
        write_json({"projects": found})
    elif found:
        show_projects(found)
    else:
        say("You are in no project; an operator or a lead of one can take you in.")
