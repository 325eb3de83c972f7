"""The schedulers that the contract of executors is held on: this machine, a real Slurm, Flux and its fake."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rainbow.executors.executor import Executor, JobPhase, Site, Ticket
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm import SlurmExecutor
from rainbow.specs import Work
from tests.support.executors import wait_for, wait_until
from tests.support.flux_cast import SIZES, WAYS, executor_of, needs_flux, place_beside
from tests.support.flux_instance import FakeInstance
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_commands

SLOTS = 2
FILLER = "rainbow-1000-1"
needs_slurm = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """`close` makes it take no jobs of that executor until `reopen`. `unknown` is a native id that it never gave."""

    site: Site
    make: Callable[[Site], Executor]
    close: Callable[[Executor], object]
    reopen: Callable[[], None]
    unknown: str

    def executor(self) -> Executor:
        return self.make(self.site)

    def of_another_agent(self) -> Executor:
        return self.make(replace(self.site, folder=self.site.folder / "other"))


# A native id of each scheduler that may be away; this machine is not.
NATIVE_IDS = {"slurm": "1", "flux": "f1"}
SCHEDULERS = [
    pytest.param(("local", ""), id="local"),
    pytest.param(("slurm", ""), id="slurm", marks=needs_slurm),
    *(pytest.param(("fake flux", way), id=f"flux-fake-{way}") for way in WAYS),
    *(
        pytest.param(("flux", size, way), id=f"flux-{size}-nodes-{way}", marks=needs_flux)
        for size in SIZES
        for way in WAYS
    ),
]
# Slurm counts whole minutes.
WITH_A_TIME_LIMIT = [
    pytest.param(("slurm", ""), id="slurm", marks=[needs_slurm, pytest.mark.slow]) if of.id == "slurm" else of
    for of in SCHEDULERS
]


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scheduler]:
    kind, *more = request.param
    if kind == "local":
        opened = _local(tmp_path)
    elif kind == "slurm":
        opened = _slurm(request.getfixturevalue("slurm_cluster"), tmp_path)
    elif kind == "fake flux":
        opened = _flux(FakeInstance(tmp_path / "fake"), tmp_path, *more)
    else:
        size, way = more
        opened = _flux(request.getfixturevalue("real_flux")(size), tmp_path, way)
    with opened as made:
        yield made


@contextmanager
def _local(folder: Path) -> Iterator[Scheduler]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "RAINBOW_SECRET": "the agent's own"}
    site = Site(folder=folder / "agent's état", environment=environment, slots=SLOTS)
    executor = LocalExecutor(site)

    def cancel(*keys: str) -> None:
        tickets = [Ticket(key=key, native_id="") for key in keys]
        executor.cancel(tickets)
        for ticket in tickets:
            wait_for(executor, ticket, JobPhase.ENDED, JobPhase.GONE)

    yield Scheduler(
        site=site,
        make=LocalExecutor,
        close=lambda busy: busy.submit(Work(command="sleep 300", nodes=SLOTS), FILLER),
        reopen=lambda: cancel(FILLER),
        unknown="4000000",
    )
    jobs = site.folder / "jobs"
    cancel(*(job.name for job in jobs.iterdir()) if jobs.exists() else ())


@contextmanager
def _slurm(cluster: SlurmCluster, folder: Path) -> Iterator[Scheduler]:
    def set_partition(state: str) -> None:
        cluster.run("scontrol", "update", "PartitionName=debug", f"State={state}")

    site = Site(folder=folder / "the agent's 100% état", environment=cluster.environment)
    yield Scheduler(
        site=site,
        make=SlurmExecutor,
        close=lambda _: set_partition("DRAIN"),
        reopen=lambda: set_partition("UP"),
        unknown="4000000",
    )
    set_partition("UP")
    cluster.run("scancel", "--me")
    wait_until(lambda: SlurmExecutor(site).capacity().slots == 2 * NODES)


@contextmanager
def _flux(instance: object, folder: Path, way: str) -> Iterator[Scheduler]:
    place = place_beside(instance, folder, way=way)
    yield Scheduler(
        site=place.site,
        make=lambda site: executor_of(instance, site, way=way),
        close=lambda _: place.instance.disable("maintenance"),
        reopen=place.instance.recover,
        unknown="f111",
    )
    place.instance.recover()
