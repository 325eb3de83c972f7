"""Jobs in real containers, by the Podman of Debian: packages podman, runc, catatonit and busybox-static."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors.containers import Containers
from rainbow.executors.executor import Ending, Executor, JobPhase, Site, Ticket
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm import SlurmExecutor
from tests.support import schedulers
from tests.support.executors import hand_over, wait_for, wait_until
from tests.support.podman import IMAGE, Podman, missing_programs
from tests.support.schedulers import needs_slurm
from tests.support.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.skipif(bool(missing_programs()), reason=f"Podman cannot run: {missing_programs()}")

slurm_cluster = schedulers.slurm_cluster
# runc cannot do without a control group of its own, unlike crun, which does not know the mixed ones of some machines.
CONTAINERS = Containers(runtime="podman", options=("--cgroups=enabled",))


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    made = Podman(folder=tmp_path_factory.mktemp("podman"))
    made.make()
    yield made
    made.remove()


@pytest.fixture
def site(podman: Podman, tmp_path: Path) -> Site:
    environment = {"PATH": podman.path, "HOME": str(tmp_path), "RAINBOW_SECRET": "the agent's own"}
    return Site(folder=tmp_path / "agent's état", environment=environment, slots=4, containers=CONTAINERS)


@pytest.fixture
def local(site: Site) -> Iterator[Executor]:
    executor = LocalExecutor(site)
    yield executor
    for key in [folder.name for folder in (site.folder / "jobs").iterdir()]:
        executor.cancel([Ticket(key=key, native_id="")])
        wait_for(executor, Ticket(key=key, native_id=""), JobPhase.ENDED, JobPhase.GONE)


def test_the_command_runs_in_the_image_with_its_variables(local: Executor) -> None:
    asked = {"GREETING": 'it\'s\n"$HOME" `id`', "CONTAINERS_CONF": "/nowhere", "A": "1"}

    ticket = hand_over(
        local,
        "rainbow-1-1",
        'printf "%s|" "$GREETING" "$CONTAINERS_CONF" "$PWD"; readlink /bin/ls; cat; echo ü >&2; exit 7',
        image=IMAGE,
        environment=asked,
        working_directory="/bin",
    )
    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert local.output(ticket) == f"{asked['GREETING']}|/nowhere|/bin|busybox\nü\n"
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 7)


def test_nothing_of_the_agent_or_the_machine_is_inside(local: Executor, site: Site) -> None:
    ticket = hand_over(local, "rainbow-2-1", f"env; ls -d {shlex.quote(str(site.folder))} /usr /home", image=IMAGE)
    wait_for(local, ticket, JobPhase.ENDED)

    output = local.output(ticket)
    assert "RAINBOW" not in output
    assert output.count("No such file or directory") == 3


def test_mounts_are_what_was_asked_for(local: Executor, tmp_path: Path) -> None:
    for name in ("open", "shut"):
        (tmp_path / name).mkdir()
    (tmp_path / "shut" / "table").write_text("42\n")

    ticket = hand_over(
        local,
        "rainbow-3-1",
        "cat /in/table > /out/result; touch /in/new; id -u > /out/user",
        image=IMAGE,
        mounts=(f"{tmp_path}/open:/out", f"{tmp_path}/shut:/in:ro"),
    )
    wait_for(local, ticket, JobPhase.ENDED)

    assert (tmp_path / "open" / "result").read_text() == "42\n"
    assert not (tmp_path / "shut" / "new").exists()
    assert "Read-only file system" in local.output(ticket)


def test_a_source_that_is_missing_fails_the_job_and_is_not_made(local: Executor, tmp_path: Path) -> None:
    ticket = hand_over(local, "rainbow-4-1", "true", image=IMAGE, mounts=(f"{tmp_path}/nowhere:/out",))

    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 125)
    assert "nowhere" in local.output(ticket)
    assert not (tmp_path / "nowhere").exists()


def test_an_image_that_is_not_there_is_not_fetched(local: Executor) -> None:
    ticket = hand_over(local, "rainbow-5-1", "true", image="localhost/not-there:1")

    assert wait_for(local, ticket, JobPhase.ENDED).exit_code == 125
    assert "image not known" in local.output(ticket)


@pytest.mark.parametrize(
    "command", ["echo ready; sleep 600; true", "trap '' TERM; echo ready; while true; do sleep 1; done"]
)
def test_a_job_that_is_cancelled_leaves_no_process(local: Executor, tmp_path: Path, command: str) -> None:
    mark = f"{tmp_path.name}-is-mine"
    ticket = hand_over(local, "rainbow-6-1", f": {mark}; {command}", image=IMAGE)
    wait_until(lambda: "ready" in local.output(ticket))
    assert processes_of(mark)

    local.cancel([ticket])
    seen = wait_for(local, ticket, JobPhase.ENDED)

    assert seen.ending == Ending.CANCELLED
    wait_until(lambda: not processes_of(mark))


@needs_slurm
def test_slurm_runs_a_container_for_each_task(podman: Podman, slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    environment = {**slurm_cluster.environment, "PATH": podman.path, "HOME": str(tmp_path)}
    slurm = SlurmExecutor(Site(folder=tmp_path / "agent's état", environment=environment, containers=CONTAINERS))

    ticket = hand_over(
        slurm,
        "rainbow-7-1",
        'echo "task $SLURM_PROCID of $SLURM_JOB_ID $MINE $SLURM_NTASKS $(readlink /bin/ls)"',
        image=IMAGE,
        environment={"MINE": "its own"},
        nodes=2,
        cores_per_task=2,
    )
    seen = wait_for(slurm, ticket, JobPhase.ENDED)

    assert seen.exit_code == 0
    assert sorted(slurm.output(ticket).splitlines()) == [
        f"task {number} of {ticket.native_id} its own 2 busybox" for number in (0, 1)
    ]


def processes_of(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text()
        except OSError:
            continue
        if mark in words:
            found.append(words)
    return found


def test_a_job_in_a_container_finds_its_inputs_and_variables(podman: Podman, tmp_path: Path) -> None:
    environment = {"PATH": podman.path, "HOME": str(tmp_path)}
    executor = LocalExecutor(Site(folder=tmp_path / "agent", environment=environment, slots=4, containers=CONTAINERS))
    (tmp_path / "0").write_text("data\n")

    ticket = hand_over(
        executor,
        "rainbow-1-1",
        'cat conf/own; echo made > made; [ "$PWD" = "$RAINBOW_FILES" ] && echo "$TOKEN" "$RAINBOW_JOB_ID"',
        image=IMAGE,
        inputs={"conf/own": "0"},
        staged=str(tmp_path),
        environment={"RAINBOW_JOB_ID": "1"},
        secret_values={"TOKEN": "it's"},
    )
    wait_for(executor, ticket, JobPhase.ENDED)

    assert executor.output(ticket) == "data\nit's 1\n"
    assert (tmp_path / "agent" / "jobs" / "rainbow-1-1" / "files" / "made").read_text() == "made\n"
