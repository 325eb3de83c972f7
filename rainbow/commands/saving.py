"""Keeping new credentials in the configuration file."""

from collections.abc import Mapping

from rainbow.commands.output import complain
from rainbow.config import Settings, config_path, read_file
from rainbow.config_file import save_cluster
from rainbow.errors import InvalidArgument


def prepare_to_save() -> None:
    """Refuse a file that cannot be read, before the server makes credentials that would have no place."""
    read_file(config_path())


def is_saved(known: Settings, credentials: Mapping[str, str]) -> bool:
    """Save the cluster's credentials, and where its server is. A failure is told and must not lose them."""
    server: dict[str, str | bool] = {"host": known.host}
    if known.tls:
        server["tls"] = True
    if known.ca_file:
        server["ca_file"] = known.ca_file
    try:
        save_cluster(config_path(), known.cluster, {**server, **credentials})
    except InvalidArgument as error:
        complain(f"Error: the credentials are not saved: {error}")
        return False
    return True
