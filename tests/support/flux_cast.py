"""The Flux instances of the executor's tests: fake or real, by the command or by the bindings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors.executor import Access, Executor, Site
from rainbow.executors.flux import FluxExecutor
from rainbow.executors.flux_bindings import BindingsMissing, FluxBindings, find
from rainbow.executors.flux_command import FluxCommand
from tests.support.fake_flux_bindings import FakeBindings
from tests.support.flux_instance import IS_THERE, FakeInstance, RealInstance

WAYS = ("command", "bindings")
SIZES = (1, 4)
needs_flux = [pytest.mark.flux, pytest.mark.skipif(not IS_THERE, reason="flux is not on PATH")]
CAST = [
    *(pytest.param(("fake", way), id=f"fake-{way}") for way in WAYS),
    *(pytest.param((size, way), id=f"{size}-nodes-{way}", marks=needs_flux) for size in SIZES for way in WAYS),
]
REAL = CAST[len(WAYS) :]
REAL_BY_BINDINGS = [param for param in REAL if str(param.id).endswith("bindings")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    instance: Any
    way: str
    site: Site
    flux: Executor


@pytest.fixture(scope="session")
def real_flux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], RealInstance]]:
    """A Flux of so many nodes, for all tests that leave it as it was."""
    running: dict[int, RealInstance] = {}

    def of_size(nodes: int) -> RealInstance:
        if nodes not in running:
            running[nodes] = RealInstance(tmp_path_factory.mktemp("flux"), nodes=nodes)
            running[nodes].start()
        return running[nodes]

    yield of_size
    for instance in running.values():
        instance.stop()


@pytest.fixture
def own_flux(tmp_path: Path) -> Iterator[RealInstance]:
    """A Flux of four nodes, for a test that breaks it."""
    (tmp_path / "flux").mkdir()
    instance = RealInstance(tmp_path / "flux", nodes=4)
    instance.start()
    yield instance
    instance.stop()


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind, way = request.param
    instance = FakeInstance(tmp_path / "fake") if kind == "fake" else request.getfixturevalue("real_flux")(kind)
    made = place_beside(instance, tmp_path, way=way)
    yield made
    instance.recover()


@pytest.fixture
def flux(place: Place) -> Executor:
    return place.flux


def place_beside(instance: Any, folder: Path, *, way: str, options: tuple[str, ...] = ()) -> Place:
    """With everything in the agent's environment and path that must not reach its jobs."""
    environment = {**instance.environment, "RAINBOW_SECRET": "the agent's own", "HOME": str(folder)}
    site = Site(folder=folder / "agent's état", environment=environment, options=options)
    return Place(instance=instance, way=way, site=site, flux=executor_of(instance, site, way=way))


def executor_of(instance: Any, site: Site, *, way: str) -> Executor:
    if way == "command":
        return FluxExecutor(site, FluxCommand(site), access=Access(description="by the command"))
    bindings = FakeBindings(site.environment) if isinstance(instance, FakeInstance) else _real_bindings()
    return FluxExecutor(site, FluxBindings(bindings, site), access=Access(description="by the bindings"))


def _real_bindings() -> Any:
    try:
        return find()
    except BindingsMissing as reason:
        pytest.skip(f"this Python has no bindings of Flux: {reason}")
