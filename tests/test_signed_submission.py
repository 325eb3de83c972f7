"""Jobs that a person signs, from the command line to the agent of a cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rainbow.agent.people import UsersFile
from rainbow.agent.required_signatures import RequiredSignatures
from rainbow.agent.signed_runs import SignedRuns
from rainbow.client import Client
from rainbow.records import Job, JobSpec, JobState
from rainbow.signer import Signer
from rainbow.signing_keys import make_key, read_key
from tests.support.agent_cast import Hire
from tests.support.agents import Crew, ScriptedExecutor
from tests.support.commandline import Run, answer
from tests.support.persons import token_of_person
from tests.support.servers import RainbowServer
from tests.support.wire import Remote


@pytest.fixture
def token(server: RainbowServer, remote: Remote) -> str:
    return token_of_person(server, f"ada-of-{remote.name}", remote.name)


@pytest.fixture
def person(remote: Remote) -> str:
    return f"ada-of-{remote.name}"


@pytest.fixture
def key(stranger: Run, config_file: Path) -> str:
    """The public key, as its owner shows it."""
    return stranger("keys", "new").stdout.strip()


@pytest.fixture
def agent(hire: Hire, scheduler: ScriptedExecutor, remote: Remote, person: str, key: str, tmp_path: Path) -> Crew:
    users = tmp_path / "users.toml"
    users.write_text(f'[people."{person}"]\nkeys = ["{key}"]\n')
    users.chmod(0o600)
    signatures = RequiredSignatures(file=UsersFile(path=users), cluster=remote.name, runs=SignedRuns(tmp_path))
    return hire(executor=scheduler, signatures=signatures)


@pytest.fixture
def submit(stranger: Run, remote: Remote, token: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("RAINBOW_CLUSTER", remote.name)
    monkeypatch.setenv("RAINBOW_TOKEN", token)
    return lambda *words: int(answer(stranger("submit", "--json", *words, "--", "hostname"))["jobid"])


def job(agent: Crew, jobid: int) -> Job:
    """As the cluster sees it, whose token sees no person's jobs."""
    return agent.agents_client.get_jobs([jobid]).jobs[0]


def test_a_signed_job_runs_and_one_that_is_not_does_not(
    submit: Callable[..., int], agent: Crew, scheduler: ScriptedExecutor
) -> None:
    signed, plain = submit("--sign", "--nodes", "2", "--env", "A=1"), submit()

    agent.work(lambda: f"rainbow-{signed}-1" in scheduler.jobs)

    agent.work(lambda: job(agent, plain).state == JobState.FAILED)
    assert "it is not signed" in job(agent, plain).reason
    assert scheduler.handed_over == [f"rainbow-{signed}-1"]


def test_a_task_that_is_signed_anew_is_told_its_array(
    submit: Callable[..., int], stranger: Run, agent: Crew, scheduler: ScriptedExecutor
) -> None:
    submit()
    array = answer(stranger("submit", "--json", "--array", "3", "--", "hostname"))["group"]

    new = answer(stranger("resubmit", "--json", "--sign", f"{array}_3"))["results"][0]["id"]
    agent.work(lambda: f"rainbow-{new}-1" in scheduler.jobs)

    assert (job(agent, new).group, job(agent, new).environment["SLURM_ARRAY_JOB_ID"]) == (0, str(array))


def test_the_configuration_signs_every_job(
    submit: Callable[..., int], agent: Crew, scheduler: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAINBOW_SIGN", "yes")
    signed, plain = submit(), submit("--no-sign")

    agent.work(lambda: f"rainbow-{signed}-1" in scheduler.jobs)

    agent.work(lambda: job(agent, plain).state == JobState.FAILED)


def test_a_program_signs_one_job_or_many(
    server: RainbowServer,
    remote: Remote,
    token: str,
    person: str,
    agent: Crew,
    scheduler: ScriptedExecutor,
    config_file: Path,
) -> None:
    signer = Signer(key=read_key(config_file.parent / "signing-key.pem"), person=person)
    with Client(server.address, cluster=remote.name, token=token, signer=signer) as client:
        one = client.submit_job(JobSpec(command="true", mounts=(), environment={"B": "é\n", "A": ""})).jobid
        many = [result.jobid for result in client.submit_jobs([JobSpec(command="a"), JobSpec(command="b")]).results]
        streamed = [result.jobid for result in client.submit_stream([JobSpec(command="c")])]

        agent.work(lambda: len(scheduler.jobs) == 4)

        assert client.submit_job(JobSpec(command="d", idempotency_key="k")).duplicate is False
        assert client.submit_job(JobSpec(command="d", idempotency_key="k")).duplicate is True
    assert set(scheduler.handed_over) >= {f"rainbow-{jobid}-1" for jobid in (one, *many, *streamed)}


def test_a_signature_by_another_key_is_refused(
    server: RainbowServer, remote: Remote, token: str, person: str, agent: Crew, tmp_path: Path
) -> None:
    signer = Signer(key=make_key(tmp_path / "stolen.pem"), person=person)
    with Client(server.address, cluster=remote.name, token=token, signer=signer) as client:
        jobid = client.submit_job(JobSpec(command="true")).jobid

    agent.work(lambda: job(agent, jobid).state == JobState.FAILED)

    assert "by none of its owner's keys" in job(agent, jobid).reason


def test_a_token_of_a_cluster_signs_nothing(rainbow: Run, key: str) -> None:
    refused = rainbow("submit", "--sign", "--", "hostname")

    assert refused.exit_code == 5
    assert "this token is no person's" in refused.stderr


def test_without_a_key_the_command_says_how_to_make_one(rainbow: Run) -> None:
    refused = rainbow("submit", "--sign", "--", "hostname")

    assert refused.exit_code == 2
    assert "`rainbow keys new` makes one" in refused.stderr
    assert "need --sign" in rainbow("submit", "--sign-for", "1h", "--", "hostname").stderr
