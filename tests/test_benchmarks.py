"""The benchmarks run, measure every call, and know what became worse."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from django.db import connection

from benchmarks import storage
from benchmarks.baseline import Figures, load, regressions, save
from jobs import events
from jobs.models import Job, JobCount, JobEvent
from jobs.services import orders
from rainbow.protos import rainbow_pb2 as pb
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT

# It ends a pause: made again, it is refused until the cluster was paused once more.
NOT_REPEATABLE = {"ResumeCluster"}
# Rare, and made by people, of whom the benchmarks have none.
# Between an agent and those who want something of its site: benchmarks.entries.agent_jobs runs whole jobs.
OF_SITES = {"AwaitWishes", "SignalJobs", "ReadOutput", "SendOutput", "PutInputs", "GetInput"}
OF_PEOPLE = {"WhoAmI", "ListTokens", "CreateToken", "RevokeToken", "RevokeLeaked", "BeginLogin", "CollectLogin"}
SHORT = ("--seconds", "0.2", "--rounds", "1", "--in-flight", "1")


def test_a_run_measures_every_call_and_names_what_became_worse(tmp_path: Path) -> None:
    worse, kept = f"{connection.vendor}/verbs/SubmitJob/1", tmp_path / "baseline.json"
    save(kept, {}, {worse: Figures(rate=1_000.0, cost=0.0)})
    command = [sys.executable, "-m", "benchmarks", "verbs", "further-calls", "--database", connection.vendor, *SHORT]

    done = subprocess.run(
        [*command, "--check", "--save-baseline", "--baseline", str(kept)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    service = pb.DESCRIPTOR.services_by_name["RainbowScheduler"]
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    missing = {rpc.name for rpc in service.methods if not any(row.startswith(f"| {rpc.name}") for row in rows)}
    assert missing == NOT_REPEATABLE | OF_PEOPLE | OF_SITES, done.stderr
    assert "FAILED" not in done.stdout
    assert f"WORSE: {worse}" in done.stdout
    assert done.returncode == 1
    assert load(kept)[worse].rate < 10


def test_what_became_worse_is_named() -> None:
    before = {
        "sqlite/verbs/SubmitJob/64": Figures(rate=0.5, cost=2.0),
        "sqlite/verbs/AcceptJobs(10)/64": Figures(rate=0.5, cost=2.0),
        "sqlite/verbs/RequestJobs(10)/64": Figures(rate=0.5, cost=2.0),
        "sqlite/bulk/SubmitJobs(1,000)/4": Figures(rate=0.5, cost=0.0),
    }
    now = {
        "sqlite/verbs/SubmitJob/64": Figures(rate=0.2, cost=2.0),
        "sqlite/verbs/AcceptJobs(10)/64": Figures(rate=0.5, cost=9.0),
        "sqlite/verbs/RequestJobs(10)/64": Figures(rate=0.45, cost=2.2),
        "sqlite/bulk/SubmitJobs(1,000)/4": Figures(rate=0.9, cost=9.0),
        "sqlite/verbs/Another/64": Figures(rate=0.0, cost=9.0),
    }

    assert list(regressions(now, before, rate_tolerance=0.3, cost_tolerance=0.3)) == [
        "sqlite/verbs/AcceptJobs(10)/64: 9.00 times its yardstick's CPU, before 2.00",
        "sqlite/verbs/SubmitJob/64: 0.20 of its yardstick's rate, before 0.50",
    ]


def test_a_baseline_keeps_what_a_later_run_did_not_measure(tmp_path: Path) -> None:
    kept, old, new = tmp_path / "baseline.json", Figures(rate=0.5, cost=2.0), Figures(rate=0.6, cost=1.9)

    save(kept, {"code": "before"}, {"a": old, "b": old})
    save(kept, {"code": "after"}, {"b": new})

    assert load(kept) == {"a": old, "b": new}


@pytest.mark.parametrize(
    ("model", "table"), [(Job, storage.JOBS), (JobEvent, storage.EVENTS), (JobCount, storage.COUNTS)]
)
def test_the_driver_writes_into_the_tables_of_the_models(model: type[Job], table: str) -> None:
    assert model._meta.db_table == table


@pytest.mark.django_db
def test_the_driver_inserts_what_the_server_inserts(now: datetime) -> None:
    assert set(storage.JOB_COLUMNS) == orders.rows_of([], {}, now).keys() - (_optional(Job) - {"queue_id"})
    assert set(storage.EVENT_COLUMNS) == events._columns([], now, "").keys()


def _optional(model: type[Job]) -> set[str]:
    """The columns that an INSERT may leave out."""
    return {field.column for field in model._meta.concrete_fields if field.has_db_default()}
