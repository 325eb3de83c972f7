"""integrations/airflow, run by a real Airflow: `make airflow-check`."""

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rainbow.client import Client
from tests.support.manual import terminal
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, RainbowServer

BIN = ROOT / ".venv-airflow" / "bin"
EXAMPLE = ROOT / "integrations" / "airflow"
FAILING = """
from airflow.sdk import DAG
from rainbow_airflow import RainbowOperator

with DAG("failing") as dag:
    RainbowOperator(task_id="fails", command="exit 3")

if __name__ == "__main__":
    dag.test()
"""
# Its worker dies after each submission, before Airflow has noted that, and the same try begins again.
TRIED_TWICE = """
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from rainbow_airflow import RainbowOperator


class Repeated(RainbowOperator):
    def execute(self, context):
        try:
            super().execute(context)
        except TaskDeferred:
            super().execute(context)


with DAG("tried_twice") as dag:
    Repeated(task_id="fails", command="exit 3", retries=1, retry_delay=timedelta(0))

if __name__ == "__main__":
    dag.test(logical_date=datetime(2026, 1, 1, tzinfo=timezone.utc))
"""
pytestmark = pytest.mark.skipif(not (BIN / "airflow").exists(), reason="needs Airflow: make airflow-check")


@pytest.fixture
def airflow(start_server: Callable[..., RainbowServer], tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an Airflow that has a connection to a server, whose cluster has an agent."""
    dags = tmp_path / "dags"
    shutil.copytree(EXAMPLE, dags)
    (dags / "failing.py").write_text(FAILING)
    (dags / "tried_twice.py").write_text(TRIED_TWICE)
    server = start_server(environment={"RAINBOW_REGISTRATION_SECRET": ""})
    environment = terminal(tmp_path, server)
    subprocess.run(["rainbow", "register", "--save"], env=environment, check=True, timeout=PATIENCE_SECONDS)
    (cluster,) = tomllib.loads((tmp_path / "config.toml").read_text())["clusters"].items()
    name, credentials = cluster
    host, _, port = server.address.rpartition(":")
    connection = {"conn_type": "generic", "host": host, "port": int(port), "login": name}
    environment |= {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW_CONN_RAINBOW_DEFAULT": json.dumps({**connection, "password": credentials["token"]}),
    }
    with (tmp_path / "agent.log").open("w") as log:
        words = ["rainbow", "agent", "--executor", "local", "--state-dir", str(tmp_path / "state")]
        agent = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    run_by(environment, BIN / "airflow", "db", "migrate")
    yield environment
    agent.terminate()
    agent.wait(PATIENCE_SECONDS)


def run_by(environment: dict[str, str], *words: os.PathLike[str] | str) -> str:
    run = subprocess.run(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    return run.stdout


def test_the_example_runs_one_job_and_a_task_fails_with_its_job(airflow: dict[str, str], tmp_path: Path) -> None:
    dags = tmp_path / "dags"

    told = run_by(airflow, BIN / "python", dags / "example.py")

    assert "wrote:" in told and "42" in told and "state=success" in told, told

    told = run_by(airflow, BIN / "python", dags / "failing.py")

    assert "is failed: ended with exit code 3" in told and "state=failed" in told, told
    connection = json.loads(airflow["AIRFLOW_CONN_RAINBOW_DEFAULT"])
    with Client(airflow["RAINBOW_HOST"], cluster=connection["login"], token=connection["password"]) as client:
        assert [job.exit_code for job in client.list_jobs()] == [3, 0]


def test_each_try_at_each_installation_is_one_job(airflow: dict[str, str], tmp_path: Path) -> None:
    """Two installations with one token, and the same DAG, run and task."""
    other = {**airflow, "AIRFLOW_HOME": str(tmp_path / "other")}
    run_by(other, BIN / "airflow", "db", "migrate")

    for installation in (airflow, other):
        run_by(installation, BIN / "python", tmp_path / "dags" / "tried_twice.py")

    connection = json.loads(airflow["AIRFLOW_CONN_RAINBOW_DEFAULT"])
    with Client(airflow["RAINBOW_HOST"], cluster=connection["login"], token=connection["password"]) as client:
        assert [job.exit_code for job in client.list_jobs()] == [3] * 4
