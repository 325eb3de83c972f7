"""The agent beside a real Slurm, from the submission to the record."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rainbow.agent.site_secrets import SecretsFile, SiteSecrets
from rainbow.cli import main
from rainbow.executors.executor import Site
from rainbow.executors.table import EXECUTORS
from rainbow.records import JobState
from tests.support.agents import Crew, crew
from tests.support.executors import lines_of, until_there, wait_until
from tests.support.servers import RainbowServer
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_commands
from tests.support.wire import joined

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def agent(server: RainbowServer, slurm: SlurmCluster, tmp_path: Path) -> Iterator[Crew]:
    """Up to two jobs of any size may wait in Slurm's queue."""
    folder = tmp_path / "the agent's state"
    executor = EXECUTORS["slurm"].make(Site(folder=folder, environment=slurm.environment))
    with (
        joined(server) as cluster,
        crew(cluster, server.address, folder, executor=executor, ahead=2) as agent,
    ):
        yield agent
        for held in agent.agent._held_jobs:
            slurm.run("scancel", held.entry.native_id)


@pytest.mark.parametrize(
    ("command", "state", "exit_code", "reason"),
    [
        ("hostname; echo $GREETING", JobState.COMPLETED, 0, ""),
        ("exit 7", JobState.FAILED, 7, "ended with exit code 7"),
        ("kill -9 $$", JobState.FAILED, 137, "killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_job_runs_and_its_record_tells_the_truth(
    agent: Crew, command: str, state: JobState, exit_code: int | None, reason: str
) -> None:
    jobid = agent.submit(command, environment={"GREETING": "it's me"}, nodes=2, tasks=4)

    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code, job.reason) == (state, exit_code, reason)
    assert job.native_id.isdigit()
    assert job.started_at and job.finished_at
    if state == JobState.COMPLETED:
        assert job.output.endswith("it's me\n")


def test_many_jobs_run_each_once(agent: Crew, tmp_path: Path) -> None:
    jobids = [agent.submit(f"echo {number} >> {tmp_path / 'ran'}") for number in range(15)]

    jobs = agent.finish(*jobids)

    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert sorted(map(int, lines_of(tmp_path / "ran"))) == list(range(15))


def test_more_nodes_than_exist_wait_with_slurms_reason_until_cancelled(agent: Crew) -> None:
    jobid = agent.submit(nodes=NODES + 1)
    agent.work(lambda: agent.job(jobid).reason)
    waiting = agent.job(jobid)

    agent.client.cancel_jobs([jobid], reason="too large")
    agent.clock.move(16)  # the next heartbeat is due
    (job,) = agent.finish(jobid)

    assert (waiting.state, waiting.reason in ("PartitionConfig", "PartitionNodeLimit")) == (JobState.ACCEPTED, True)
    assert (job.state, job.reason, job.started_at) == (JobState.CANCELLED, "too large", None)


def test_a_running_job_is_cancelled(agent: Crew, tmp_path: Path) -> None:
    jobid = agent.submit(f"echo begun; touch {tmp_path / 'begun'}; sleep 3600")
    agent.work((tmp_path / "begun").exists)
    agent.clock.move(16)  # the next heartbeat is due
    agent.work(lambda: agent.job(jobid).output == "begun\n")

    agent.client.cancel_jobs([jobid])
    agent.clock.move(16)
    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code) == (JobState.CANCELLED, None)


def test_a_controller_that_restarts_in_the_middle_is_waited_for(
    agent: Crew, slurm: SlurmCluster, tmp_path: Path
) -> None:
    running = agent.submit(f"echo ran >> {tmp_path / 'ran'}; {until_there(tmp_path / 'go')}; exit 4")
    agent.work(lambda: agent.job(running).state == JobState.RUNNING)

    with slurm.without_controller():
        later = agent.submit(f"echo ran >> {tmp_path / 'ran'}")
        agent.work_for(3)
        during = [agent.job(jobid).state for jobid in (running, later)]
    (tmp_path / "go").touch()
    jobs = agent.finish(running, later)

    assert JobState.FAILED not in during
    assert [(job.state, job.exit_code, job.attempt) for job in jobs] == [
        (JobState.FAILED, 4, 1),
        (JobState.COMPLETED, 0, 1),
    ]
    assert lines_of(tmp_path / "ran") == ["ran", "ran"]


def test_a_job_that_ended_while_no_agent_was_there_is_reported(
    agent: Crew, slurm: SlurmCluster, tmp_path: Path
) -> None:
    """Its record left Slurm's queue in the meantime."""
    jobid = agent.submit(f"echo alone; {until_there(tmp_path / 'go')}; exit 7")
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    native_id = agent.job(jobid).native_id

    agent.restart()
    (tmp_path / "go").touch()
    wait_until(lambda: native_id not in slurm.run("squeue", "--states=all", "--format=%i").split())
    (job,) = agent.finish(jobid)

    assert (job.state, job.exit_code, job.output) == (JobState.FAILED, 7, "alone\n")


def test_a_job_knows_its_id_its_attempt_and_its_cluster(agent: Crew) -> None:
    jobid = agent.submit("srun sh -c 'echo $RAINBOW_JOB_ID $RAINBOW_ATTEMPT $RAINBOW_CLUSTER'")

    (job,) = agent.finish(jobid)

    assert job.output == f"{jobid} 1 {agent.client.cluster}\n"


def test_a_job_finds_its_secret_which_neither_its_script_nor_a_list_of_processes_shows(
    agent: Crew, slurm: SlurmCluster, tmp_path: Path
) -> None:
    path = tmp_path / "secrets.toml"
    path.write_text('[secrets.hf]\nvalue = "it\'s $secret"\nall = true\n')
    path.chmod(0o600)
    agent.secrets = SiteSecrets(file=SecretsFile(path=path))
    agent.restart()
    (tmp_path / "expected").write_text("it's $secret")
    command = f'{until_there(tmp_path / "go")}; srun sh -c \'[ "$TOKEN" = "$(cat {tmp_path}/expected)" ] && echo same\''
    jobid = agent.submit(command, secrets={"TOKEN": "site:hf"})
    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    folder = agent.folder / "jobs" / f"rainbow-{jobid}-1"
    wait_until(lambda: not (folder / "secrets").exists())

    native_id = agent.job(jobid).native_id
    told = slurm.run("scontrol", "show", "job", native_id) + slurm.run(
        "scontrol", "write", "batch_script", native_id, "-"
    )
    assert "$secret" not in told
    assert not [file for file in folder.iterdir() if b"$secret" in file.read_bytes()]
    (tmp_path / "go").touch()
    (job,) = agent.finish(jobid)

    assert job.output == "same\n"


def test_jobs_of_an_array_find_their_inputs_where_they_begin(agent: Crew) -> None:
    digests = agent.client.put_inputs([b"shared\n", b"one\n", b"two\n"])
    jobids = [
        agent.submit("srun cat shared mine/own", inputs={"shared": digests[0], "mine/own": own}) for own in digests[1:]
    ]

    jobs = agent.finish(*jobids)

    assert [job.output for job in jobs] == ["shared\none\n", "shared\ntwo\n"]


def test_a_batch_script_and_an_array_run_as_slurm_would_run_them(
    agent: Crew, server: RainbowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SLURM_JOB_ID` is that of the site's Slurm, which `srun` needs."""
    monkeypatch.setenv("RAINBOW_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("RAINBOW_HOST", server.address)
    monkeypatch.setenv("RAINBOW_CLUSTER", agent.client.cluster)
    monkeypatch.setenv("RAINBOW_TOKEN", agent.client._token)
    script = tmp_path / "hello.sh"
    script.write_text(
        "#!/bin/bash\n#SBATCH -N 2 --ntasks-per-node=1 -t 5 --mem=100 -J hello\n"
        "srun sh -c 'echo $SLURM_JOB_NAME $SLURM_PROCID of $SLURM_NTASKS'\necho $* $SLURM_JOB_ID\n"
    )

    def sbatch(*words: str) -> int:
        return int(CliRunner().invoke(main, ["sbatch", "--parsable", *words]).stdout)

    jobid = sbatch(str(script), "a b")
    group = sbatch("--array", "2-3", "-o", "%A-%a.txt", "--wrap", "echo $SLURM_ARRAY_TASK_ID") - 3_000_000_000
    members = [job.id for job in agent.client.list_jobs(group=group)]
    job, *tasks = agent.finish(jobid, *members)

    assert sorted(job.output.splitlines()) == sorted(["hello 0 of 2", "hello 1 of 2", f"a b {job.native_id}"])
    assert {task.state for task in tasks} == {JobState.COMPLETED}
    files = (agent.folder / "jobs").glob(f"*/files/{3_000_000_000 + group}-*.txt")
    assert sorted((file.name[-5:], file.read_text()) for file in files) == [("2.txt", "2\n"), ("3.txt", "3\n")]
