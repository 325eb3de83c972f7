"""An agent's user beside a real Slurm, and users as whom it hands jobs over."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors.executor import Executor, Site
from rainbow.executors.slurm import SlurmExecutor
from tests.support.slurm_cluster import SlurmCluster, missing_commands
from tests.support.unix_users import UnixUsers, acting_as, obstacle, unix_users

NEEDS_USERS = [
    pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}"),
    pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "none"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    """In a folder that all users reach."""
    folder = Path(tempfile.mkdtemp(prefix="rainbow-slurm-"))
    folder.chmod(0o755)
    running = SlurmCluster(folder=folder)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def users(cluster: SlurmCluster) -> Iterator[UnixUsers]:
    with unix_users(slurm_conf=cluster.environment["SLURM_CONF"]) as made:
        made.give_folder(made.ada)
        made.give_folder(made.bob)
        yield made


@pytest.fixture
def site(cluster: SlurmCluster, users: UnixUsers) -> Site:
    return Site(folder=users.folder / "state", environment=cluster.environment, persons=users.persons)


@pytest.fixture
def slurm(site: Site, users: UnixUsers) -> Iterator[Executor]:
    """All that a test does with it, it does as the agent's user."""
    with acting_as(users.agent):
        yield SlurmExecutor(site)
