"""The cast of the tests, and the servers that they talk to.

The suite runs on the database that DATABASE_URL names, SQLite if it is not set. `make test` runs it on both.
"""

import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import connection

from clusters.callers import Caller, Claim, Operator
from clusters.models import Cluster
from clusters.parsed_facts import parsed_facts
from clusters.services.authenticate import admit
from clusters.services.register import register_cluster
from jobs import remembered, room
from jobs.outbox import forget_webhooks, webhooks_exist
from jobs.queries import head, labeled
from jobs.rest.job_rows import kept_jobs
from jobs.room import forget_limits
from rainbow.aio.session import AsyncSession
from rainbow.client_session import ClientSession
from rainbow.protos import rainbow_pb2 as pb
from tests.support.certificates import make_certificate
from tests.support.databases import (
    PostgresqlDatabases,
    SqliteDatabases,
    databases_of_this_run,
    drop_shared_template,
    migrated_file,
    name_shared_template,
)
from tests.support.members import person_named, project_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import count as count_rows
from tests.support.servers import DEFAULT_WEB_WORKERS, TRANSPORT, RainbowServer, on_h2corn, start_rainbow
from tests.support.wire import Remote, joined

pytest_plugins = [
    # Before those that import it: its assertions explain themselves.
    "tests.support.rehearsed",
    "tests.support.agent_cast",
    "tests.support.commandline",
    "tests.support.flux_cast",
    "tests.support.job_files",
]

# What is collected stays: looking for garbage in it would take a tenth of the collection, and more of each test.
gc.disable()

# The same examples in every run, and no verdict from a busy machine's clock. `make test-long` has ten times as many.
for profile, examples in {"rainbow": 25, "long": 250}.items():
    hypothesis.settings.register_profile(
        profile,
        deadline=None,
        derandomize=True,
        max_examples=examples,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("rainbow")

# Each test's client makes a WhiteNoise of its own, which lists the static files in 17 ms of CPU. This one looks for a
# file when it is asked for it; the servers that tests start list them.
settings.WHITENOISE_AUTOREFRESH = True

# A client that is not told otherwise waits ten seconds for an answer; a machine that stalls takes longer.
for patient in (ClientSession, AsyncSession):
    vars(patient)["__init__"].__kwdefaults__["timeout_seconds"] = PATIENCE_SECONDS

# A shell's background jobs ignore Ctrl-C, and so would the commands that tests begin and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests of one server come from one address, and many bring a wrong secret.
MANY_GUESSES = {"RAINBOW_GUESSES": "1000000"}

# The files that take longest, the longest first.
LONGEST = (
    "images", "benchmarks_against", "chaos", "executor_contract", "agent_killed", "agent_slurm_killed",
    "executor_withdrawal", "export", "server", "rest_schema", "reverse_proxies", "database_file", "hostile_clients",
    "serve", "executor_slurm", "upgrade", "reach", "hostile_http", "package", "crash", "console_in_a_browser",
    "workers", "agent_flux", "job_folders", "database_away", "backup", "check_records_live", "plans", "long_waits",
    "settings", "concurrency", "web_log", "large_jobs", "agent_slurm", "agent_slurm_life", "leases", "web_server",
    "benchmarks", "sign_in_at_a_provider", "parameter_study", "pool_drill",
)  # fmt: skip

# What no call changes that is refused.
# What the server does by itself meanwhile, such as ending the leases of earlier tests, comes of no request.
EVENTS_OF_REQUESTS = "jobs_jobevent WHERE request_id IS NOT NULL"
TABLES = ("clusters_cluster", "clusters_credential", "jobs_job", EVENTS_OF_REQUESTS, "jobs_joblabel")


@pytest.hookimpl(trylast=True)
def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--transport", choices=["grpcio", "h2corn"], help="what carries the calls of the servers")


def pytest_configure(config: pytest.Config) -> None:
    if _begins_the_run():
        name_shared_template()
    if transport := config.getoption("--transport"):
        if transport == "h2corn" and find_spec("h2corn") is None:
            raise pytest.UsageError("--transport h2corn: pip install --requirement requirements-h2corn.lock")
        os.environ[TRANSPORT] = transport


def pytest_unconfigure() -> None:
    if _begins_the_run():
        drop_shared_template()


def _begins_the_run() -> bool:
    return "PYTEST_XDIST_WORKER" not in os.environ


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: of a run with several processes none is left alone with one of them at the end."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
    gc.freeze()
    gc.enable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A cluster of the cast, with its credentials and the callers that they make."""

    name: str
    cluster: Cluster
    token: str
    secret: str
    submitter: Caller
    puller: Caller


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids of a test's queues and clusters are given again when its changes are rolled back."""
    head.forget()
    labeled.forget()
    parsed_facts.clear()
    for kept in kept_jobs.values():
        kept.clear()
    forget_limits()
    forget_webhooks()
    # Else a test that takes long would look once more.
    monkeypatch.setattr(remembered, "_FRESH_SECONDS", 3_600)


@pytest.fixture
def limits_are_known(db: None) -> None:
    """For tests that count statements: whether limits and webhooks exist is looked up by the first that asks."""
    room.held_limits_exist()
    webhooks_exist()


@pytest.fixture
def alpha(db: None, now: datetime) -> Member:
    return registered("alpha", now)


@pytest.fixture
def beta(db: None, now: datetime) -> Member:
    return registered("beta", now)


@pytest.fixture
def mallory(db: None, now: datetime) -> Member:
    """A stranger: good credentials, of a cluster that is none of the others' business."""
    return registered("mallory", now)


@pytest.fixture
def alice(db: None) -> Operator:
    return person_named("alice")


@pytest.fixture
def bob(db: None) -> Operator:
    return person_named("bob")


@pytest.fixture
def chem(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> Any:
    """A project of the two, at alpha."""
    return project_of(alice, bob, now=now)


def registered(name: str, now: datetime) -> Member:
    new = register_cluster(name=name, offered_secret="open", registration_secret="open", now=now)
    assert new
    return Member(
        name=name,
        cluster=Cluster.objects.get(name=name),
        token=new.token,
        secret=new.secret,
        submitter=admit(Claim(value=new.token), now=now),
        puller=admit(Claim(value=new.secret), now=now),
    )


@pytest.fixture(scope="session")
def grpcio_only() -> None:
    if on_h2corn():
        pytest.skip("what grpcio alone does; docs/transports.md has what h2corn does")


@pytest.fixture(scope="session")
def postgresql_only() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL; make test-postgresql runs it")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of a run."""
    own = tmp_path_factory.getbasetemp()
    return own if _begins_the_run() else own.parent


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
    tmp_path_factory: pytest.TempPathFactory,
    shared_folder: Path,
    _databases: SqliteDatabases | PostgresqlDatabases,
) -> None:
    """The test database is a copy of one that was migrated once; that of SQLite lies out of the checkout."""
    test = settings.DATABASES["default"]["TEST"]
    if isinstance(_databases, PostgresqlDatabases):
        test["TEMPLATE"] = _databases.template()
    else:
        database = tmp_path_factory.mktemp("django") / "rainbow.db"
        shutil.copy(migrated_file(shared_folder), database)
        test["NAME"] = str(database)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def _databases(
    tmp_path_factory: pytest.TempPathFactory, shared_folder: Path
) -> Iterator[SqliteDatabases | PostgresqlDatabases]:
    databases = databases_of_this_run(tmp_path_factory.mktemp("databases"), shared=shared_folder)
    yield databases
    databases.drop_all()


@pytest.fixture(scope="session")
def new_database(_databases: SqliteDatabases | PostgresqlDatabases) -> Callable[[], str]:
    """Make the URL of a fresh database for servers."""
    return _databases.new


@pytest.fixture
def embedded_database(tmp_path: Path, shared_folder: Path) -> str:
    """The URL of `rainbow.db` in the folder of the test: SQLite, migrated, whatever the suite runs on."""
    database = tmp_path / "rainbow.db"
    shutil.copy(migrated_file(shared_folder), database)
    return f"sqlite:///{database}"


@pytest.fixture(scope="session")
def empty_database(_databases: SqliteDatabases | PostgresqlDatabases) -> Callable[[], str]:
    """Make the URL of a database without tables."""
    return _databases.empty


@pytest.fixture(scope="session")
def server(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """One server for all tests that do not stop it; each registers clusters of its own."""
    log = tmp_path_factory.mktemp("server") / "log"
    running = start_rainbow(database_url=new_database(), log=log, environment=MANY_GUESSES)
    yield running
    running.stop()


@pytest.fixture
def remote(server: RainbowServer) -> Iterator[Remote]:
    """A cluster of the shared server, with a gRPC connection."""
    with joined(server) as cluster:
        yield cluster


@pytest.fixture
def other_remote(server: RainbowServer) -> Iterator[Remote]:
    with joined(server) as cluster:
        yield cluster


@pytest.fixture
def unharmed(remote: Remote, server: RainbowServer) -> Iterator[None]:
    """After the test the server serves and holds what it held before."""
    before = count_rows(server.database_url, *TABLES)
    yield
    question = pb.Request(content=pb.Content(id="still here"))
    assert remote.stub.Serial(question, timeout=PATIENCE_SECONDS).request_id == "still here"
    assert count_rows(server.database_url, *TABLES) == before


@pytest.fixture(scope="module")
def web_server(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RainbowServer]:
    """One for the tests of a file, with its web door: what `serve` starts, with its default of two web processes.

    Few files use one, and idle until the end of the run it would take a second of CPU in each minute.
    """
    log = tmp_path_factory.mktemp("web_server") / "log"
    environment = {**MANY_GUESSES, **DEFAULT_WEB_WORKERS}
    running = start_rainbow(database_url=new_database(), log=log, with_web=True, environment=environment)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def tls_web_server(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RainbowServer]:
    """The same with a certificate, for gRPC and HTTP."""
    folder = tmp_path_factory.mktemp("tls_web_server")
    certificate, key = make_certificate(folder)
    environment = {**MANY_GUESSES, "RAINBOW_TLS_CERT": str(certificate), "RAINBOW_TLS_KEY": str(key)}
    running = start_rainbow(database_url=new_database(), log=folder / "log", with_web=True, environment=environment)
    yield running
    running.stop()


@pytest.fixture
def start_server(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RainbowServer]]:
    """Start further servers: `start_server(database_url=…, address=…, with_web=…, arguments=…, environment=…)`.

    Everything may be left out; the database is then a fresh one. What still runs after the test is killed.
    """
    started: list[RainbowServer] = []
    folder, numbers = tmp_path_factory.mktemp("servers"), count(1)

    def start(*, database_url: str = "", **options: Any) -> RainbowServer:
        log = folder / f"log{next(numbers)}"
        started.append(start_rainbow(database_url=database_url or new_database(), log=log, **options))
        return started[-1]

    yield start
    for running in started:
        running.kill()
