"""Several processes behind one port, and several writers on one SQLite file."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from django.core.management import CommandError, call_command

from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos import rainbow_pb2_grpc as rpc
from tests.support.patience import PATIENCE_SECONDS
from tests.support.processes import wait_until
from tests.support.servers import MANAGE, ROOT, RainbowServer, environment_for

Start = Callable[..., RainbowServer]
# A channel of its own for every call: the kernel spreads connections over the processes.
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
WRITER = """
import sys
import django
django.setup()
from django.db import transaction
from django.utils import timezone
from clusters.models import FailedAttempts
source, number = sys.argv[1], int(sys.argv[2])
FailedAttempts.objects.create(source=source, began_at=timezone.now(), failures=0)
for _ in range(number):
    with transaction.atomic():
        row = FailedAttempts.objects.get(source=source)
        row.failures += 1
        row.save()
"""


def start_two(start_server: Start) -> RainbowServer:
    server = start_server(arguments=["--workers", "2"])
    wait_until(lambda: len(serving(server)) == 2, process=server.process, log=server.log)
    return server


def serving(server: RainbowServer) -> set[str]:
    lines = server.log.read_text().splitlines()
    return {line.split(" INFO ")[1].split(" serves ")[0] for line in lines if " serves " in line}


def test_workers_share_one_port_and_one_database(start_server: Start) -> None:
    server = start_two(start_server)
    ids = set()

    with grpc.insecure_channel(server.address) as channel:
        new = rpc.RainbowSchedulerStub(channel).Register(
            pb.RegisterRequest(name="shared", secret=server.registration_secret), timeout=PATIENCE_SECONDS
        )
    for _ in range(20):
        with grpc.insecure_channel(server.address, options=OWN_CONNECTION) as channel:
            request = pb.SubmitJobRequest(cluster="shared", token=new.token, nodes=1, command="true")
            ids.add(rpc.RainbowSchedulerStub(channel).SubmitJob(request, timeout=PATIENCE_SECONDS).jobid)

    assert len(ids) == 20
    assert serving(server) == {"rainbow-1", "rainbow-2"}


def test_when_a_worker_dies_all_stop_and_the_exit_code_says_so(start_server: Start) -> None:
    server = start_two(start_server)
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()

    os.kill(int(children[0]), 9)

    assert server.process.wait(timeout=PATIENCE_SECONDS) != 0
    assert not any(
        Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes() for child in children
    )


def test_workers_stop_together_when_told(start_server: Start) -> None:
    server = start_two(start_server)

    assert server.stop() == 0
    assert server.log.read_text().count(" stopped") == 2


def test_a_port_in_use_is_refused_before_any_worker_starts(start_server: Start) -> None:
    server = start_server()
    command = [*MANAGE, "grpcserver", "--address", server.address, "--workers", "2"]

    second = subprocess.run(
        command,
        env=environment_for(server.database_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert second.returncode == 1
    assert f"cannot listen on {server.address}" in second.stderr


def test_servers_with_workers_do_not_share_a_port_with_others(start_server: Start) -> None:
    server = start_two(start_server)
    command = [*MANAGE, "grpcserver", "--address", server.address, "--workers", "2"]

    second = subprocess.run(
        command,
        env=environment_for(server.database_url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert second.returncode == 1


@pytest.mark.parametrize("number", ["0", "65", "two", "-1"])
def test_an_impossible_number_of_workers_is_refused(number: str) -> None:
    with pytest.raises(CommandError, match="must be 1 to 64"):
        call_command("grpcserver", f"--workers={number}")


def test_writers_of_several_processes_take_turns(embedded_database: str) -> None:
    environment: dict[str, Any] = environment_for(embedded_database, PYTHONPATH=str(ROOT))
    environment["DJANGO_SETTINGS_MODULE"] = "rainbow_site.settings"

    began = time.monotonic()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"writer {number}", "50"], env=environment)
        for number in range(4)
    ]
    codes = [writer.wait(timeout=PATIENCE_SECONDS) for writer in writers]

    assert codes == [0, 0, 0, 0], f"after {time.monotonic() - began:.0f} s"
