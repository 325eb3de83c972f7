"""Saves new credentials in the configuration file."""

from collections.abc import Mapping
from pathlib import Path

from rainbow.config import FILES, Settings, config_path, read_file
from rainbow.config_file import save_cluster
from rainbow.errors import InvalidArgument
from rainbow.terminal.output import complain


def prepare_to_save() -> None:
    """Fail on an unreadable file before the server makes credentials."""
    read_file(config_path())


def try_to_save(known: Settings, credentials: Mapping[str, str]) -> bool:
    """Save the cluster's credentials and its server; whether it worked.

    A failure is printed and does not end the command: the caller then shows the credentials.
    """
    server: dict[str, str | bool] = {"host": known.host, "tls": known.tls}
    server |= {name: str(Path(getattr(known, name)).absolute()) for name in FILES if getattr(known, name)}
    try:
        save_cluster(config_path(), known.cluster, {**server, **credentials})
    except InvalidArgument as error:
        complain(f"Error: the credentials are not saved: {error}")
        return False
    return True
