"""Databases of older versions, brought up to date with what is in them."""

import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rainbow.client import Client
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import MANAGE, RainbowServer, environment_for, migrate


def migrate_back(database_url: str, app: str, migration: str) -> None:
    command = [*MANAGE, "migrate", "--verbosity=0", app, migration]
    subprocess.run(command, env=environment_for(database_url), check=True, timeout=PATIENCE_SECONDS)


def test_a_value_that_was_replaced_before_an_update_works_on_after_it(
    start_server: Callable[..., RainbowServer],
) -> None:
    server = start_server()
    url = server.database_url
    with Client(server.address) as stranger:
        new = stranger.register("keebler", registration_secret=server.registration_secret)
    server.stop()
    migrate_back(url, "clusters", "0004_not_ready")
    execute(
        url,
        "UPDATE clusters_credential SET previous_digest = %s, previous_expires_at = %s WHERE kind = 'secret'",
        [hashlib.sha256(b"rbs_former").hexdigest(), datetime.now(UTC) + timedelta(days=1)],
    )

    migrate(url)

    address = start_server(database_url=url).address
    for value in (new.secret, "rbs_former"):
        with Client(address, cluster="keebler", secret=value) as client:
            assert client.request_jobs().jobs == ()
