"""Databases of older versions, brought up to date with what is in them."""

import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rainbow.client import Client
from rainbow.specs import JobSpec
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import MANAGE, RainbowServer, environment_for, migrate
from tests.support.wire import eventually


def migrate_back(database_url: str, app: str, migration: str) -> None:
    command = [*MANAGE, "migrate", "--verbosity=0", app, migration]
    subprocess.run(command, env=environment_for(database_url), check=True, timeout=PATIENCE_SECONDS)


def test_what_was_there_before_an_update_is_good_after_it(start_server: Callable[..., RainbowServer]) -> None:
    """A value that was replaced works on, and jobs that wait are offered."""
    server = start_server()
    url = server.database_url
    with Client(server.address) as stranger:
        new = stranger.register("keebler", registration_secret=server.registration_secret)
    with Client(server.address, cluster="keebler", token=new.token) as client:
        ids = [client.submit_job(JobSpec(command="true", nodes=nodes)).jobid for nodes in (16, 1)]
    server.stop()
    migrate_back(url, "jobs", "0009_bulk_action")
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
            eventually(lambda: [job.id for job in client.request_jobs().jobs] == ids)
            assert [job.id for job in client.request_jobs(max_nodes=4).jobs] == ids[1:]
