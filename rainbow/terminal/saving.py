"""Saves new credentials in the configuration file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rainbow.config import FILES, Settings, config_path, read_file
from rainbow.config_file import save_at_top, save_cluster
from rainbow.errors import InvalidArgument
from rainbow.terminal.output import complain


def prepare_to_save() -> None:
    """Fail on an unreadable file before the server makes credentials."""
    read_file(config_path())


def try_to_save(known: Settings, credentials: Mapping[str, str]) -> bool:
    """Save the cluster's credentials and its server; whether it worked.

    A failure is printed and does not end the command: the caller then shows the credentials.
    """
    return _saved("credentials", lambda: save_cluster(config_path(), known.cluster, {**_server(known), **credentials}))


def try_to_save_token(known: Settings, token: str) -> bool:
    """The same for a person's token, which holds for all clusters."""
    return _saved("token", lambda: save_at_top(config_path(), {**_server(known), "token": token}))


def _server(known: Settings) -> dict[str, str | bool]:
    server: dict[str, str | bool] = {"host": known.host, "tls": known.tls}
    server |= {name: str(Path(getattr(known, name)).absolute()) for name in FILES if getattr(known, name)}
    return server


def _saved(what: str, save: Callable[[], None]) -> bool:
    try:
        save()
    except InvalidArgument as error:
        complain(f"Error: the {what} could not be saved: {error}")
        return False
    return True
