import click

from rainbow.records import Resumption
from rainbow.terminal import session
from rainbow.terminal.options import json_option, secret_options, server_options, token_options
from rainbow.terminal.output import say, write_json
from rainbow.text import on_one_line

EPILOG = """\b
Examples:
  rainbow resume
  rainbow resume --request-secret-file /etc/rainbow/secret

Exits with 5 when nothing keeps the cluster from its jobs.
"""


@click.command("resume", epilog=EPILOG)
@server_options
@token_options
@secret_options
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Let a cluster get its jobs again.

    With the cluster's secret, a pause ends, and all jobs go on that are held back because others of their token failed
    at once. With a token, where no secret is known, those that were submitted with it go on.
    """
    with session.resumer(ctx) as client:
        resumed = client.resume_cluster()
        cluster = client.cluster
    if as_json:
        write_json(resumed)
    else:
        _tell(resumed, cluster=cluster)


def _tell(resumed: Resumption, *, cluster: str) -> None:
    if resumed.paused:
        say(on_one_line(f"{cluster} is no longer paused: {resumed.paused}"))
    for held in resumed.held_back:
        say(on_one_line(f"The jobs of token {held.token} go on: {held.reason}"))
