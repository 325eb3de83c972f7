import click

from rainbow.config import config_path
from rainbow.config_file import save_at_top
from rainbow.errors import FailedPrecondition, RainbowError, Unauthenticated
from rainbow.terminal import session
from rainbow.terminal.options import server_options
from rainbow.terminal.output import complain, say


@click.command("logout")
@server_options
@click.pass_context
def command(ctx: click.Context) -> None:
    """Revoke the token that this machine keeps, and forget it."""
    known = session.settings(ctx)
    if not session.is_of_people(known.token) or known.sources.get("token") != str(config_path()):
        raise FailedPrecondition(f"no token of a person is in {config_path()}")
    try:
        with session.person(ctx) as client:
            client.revoke_own_token()
    except Unauthenticated:
        complain("The token worked no longer.")
    except RainbowError as error:
        complain(f"Warning: the token may still work: {error}")
    save_at_top(config_path(), {"token": ""})
    say(f"The token is no longer in {config_path()}.")
