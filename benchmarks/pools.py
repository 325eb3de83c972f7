"""Pools on a server under test."""

import json
import subprocess
from collections.abc import Mapping, Sequence

from benchmarks.bench import Bench, Server
from benchmarks.cluster import Cluster
from tests.support.servers import environment_for

# In one process: starting a command costs more than making a pool.
_CREATE = """
import json, sys
from django.core.management import call_command
for name, members in json.load(sys.stdin).items():
    call_command("pool", "create", name, *members, "--json")
    print(end="\\0")
"""


def make_pools(bench: Bench, server: Server, pools: Mapping[str, Sequence[str]]) -> list[Cluster]:
    """Pools of these clusters, by name. A pool takes submissions as a cluster does, and has no secret."""
    done = subprocess.run(
        [*bench.manage, "shell", "--verbosity", "0", "--command", _CREATE],
        env=environment_for(server.database_url),
        input=json.dumps(pools),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    made = [json.loads(text) for text in done.stdout.split("\0") if text.strip()]
    return [Cluster(name=pool["name"], token=pool["token"], secret="", server=server) for pool in made]
