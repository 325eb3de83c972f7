"""Secrets that jobs name: who gets them, and who never sees them."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.secrets_file import Secret, read_secrets
from rainbow.agent.site_secrets import SecretsFile, SiteSecrets
from rainbow.errors import InvalidArgument
from rainbow.executors.containers import script_inside, write_inside
from rainbow.executors.executor import NotTaken, Site, WorkRefused
from rainbow.executors.flux_script import script as flux_script
from rainbow.executors.folders import folder_of
from rainbow.executors.payload import write_secrets
from rainbow.executors.slurm_script import script as slurm_script
from rainbow.records import JobState
from rainbow.specs import Work
from tests.support.agent_cast import Hire
from tests.support.agents import ScriptedExecutor
from tests.support.commandline import Run, answer
from tests.support.executors import until_there
from tests.support.persons import token_of_person
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

VALUE = "hf_0123456789abcdef; echo 'quoted'"
TABLE = f"""[secrets.hf]
value = "{VALUE}"
all = true

[secrets.ada]
value = "hers"
people = ["ada"]

[secrets.climate]
value = "theirs"
projects = ["climate"]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    written = tmp_path / "our secrets.toml"
    written.write_text(TABLE)
    written.chmod(0o600)
    return written


@pytest.fixture
def secrets(path: Path) -> SiteSecrets:
    return SiteSecrets(file=SecretsFile(path=path))


def work(secret: str, **more: Any) -> Work:
    return Work(command="true", secrets={"TOKEN": f"site:{secret}"}, **more)


def test_a_secret_has_a_value_and_those_whom_it_is_for(path: Path) -> None:
    assert read_secrets(path) == {
        "hf": Secret(value=VALUE, all=True),
        "ada": Secret(value="hers", people=("ada",)),
        "climate": Secret(value="theirs", projects=("climate",)),
    }


def test_a_value_may_be_in_a_file_of_its_own_and_change_there(path: Path, tmp_path: Path) -> None:
    own = tmp_path / "token"
    own.write_text("one\n")
    own.chmod(0o600)
    path.write_text(f'[secrets.hf]\nfile = "{own}"\nall = true\n')
    secrets = SiteSecrets(file=SecretsFile(path=path))
    assert secrets.values(work("hf")) == {"TOKEN": "one"}

    own.write_text("two\n")

    assert secrets.values(work("hf")) == {"TOKEN": "two"}


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o622, 0o601, 0o644])
def test_a_file_that_others_may_read_or_write_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)

    with pytest.raises(InvalidArgument, match=r"must not be .*: chmod (go-w|o=) '/.*/our secrets\.toml'$"):
        read_secrets(path)


def test_so_is_one_of_another_user_a_pipe_and_none_at_all(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidArgument, match="must be a file of root or of the agent's user"):
        read_secrets(tmp_path / "pipe")
    with pytest.raises(InvalidArgument, match="cannot read"):
        read_secrets(tmp_path / "nothing")
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        with pytest.raises(InvalidArgument, match="must be a file of root"):
            read_secrets(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secrets = 7", "must be a table of secrets"),
        ("[secret.hf]", "there is no secret; known are secrets"),
        ('[secrets.hf]\nvalue = "hush"', "secrets.hf is for nobody"),
        ('[secrets.hf]\nvalue = "hush"\nall = 1', "secrets.hf.all must be true or false"),
        ('[secrets.hf]\nvalue = "hush"\nowners = ["ada"]', "there is no owners"),
        ('[secrets.hf]\nvalue = "hush"\npeople = "ada"', "people must be a list"),
        ("[secrets.hf]\nall = true", "needs either value or file"),
        ('[secrets.hf]\nvalue = "hush"\nfile = "/x"\nall = true', "needs either value or file"),
        ('[secrets.hf]\nfile = "hush"\nall = true', "file must be an absolute path"),
        ('[secrets.hf]\nfile = "/no/such/hush"\nall = true', "cannot read /no/such"),
        ('[secrets.hf]\nvalue = ""\nall = true', "its value must be text"),
        ('[secrets.hf]\nvalue = "hush\\u0000"\nall = true', "its value must be text"),
        ('[secrets."../hf"]\nvalue = "hush"\nall = true', "its name 1 to 63"),
        ('[secrets.hf]\nvalue = "hush', "is not valid TOML"),
    ],
)
def test_what_is_not_meant_like_this_is_refused_and_no_value_told(path: Path, text: str, reason: str) -> None:
    path.write_text(text)

    with pytest.raises(InvalidArgument, match=reason) as caught:
        read_secrets(path)
    assert "hush" not in str(caught.value).replace("/no/such/hush", "")


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (work("hf"), False),
        (work("hf", owner="bob"), False),
        (work("ada", owner="ada"), False),
        (work("ada", owner="bob"), True),
        (work("ada"), True),
        (work("climate", owner="bob", project="climate"), False),
        (work("climate", project="climate"), False),
        (work("climate", owner="climate"), True),
        (work("ada", project="ada"), True),
        (work("none"), True),
    ],
)
def test_only_those_get_it_whom_it_is_for(secrets: SiteSecrets, asked: Work, refused: bool) -> None:
    assert bool(secrets.refusal(asked)) == refused
    if refused:
        with pytest.raises(WorkRefused, match="this cluster has no secret"):
            secrets.values(asked)
    else:
        assert list(secrets.values(asked)) == ["TOKEN"]


def test_nobody_learns_whether_others_have_a_secret(secrets: SiteSecrets) -> None:
    foreign, missing = secrets.refusal(work("ada", owner="bob")), secrets.refusal(work("none", owner="bob"))

    assert foreign.replace("secret ada", "secret none") == missing


def test_while_the_file_is_broken_nobody_gets_one_and_nobody_is_refused(secrets: SiteSecrets, path: Path) -> None:
    path.write_text("[secrets")

    assert secrets.refusal(work("none")) == ""
    with pytest.raises(NotTaken, match="cannot be read for now"):
        secrets.values(work("hf"))
    path.write_text(TABLE)
    assert secrets.values(work("hf")) == {"TOKEN": VALUE}


def test_a_job_finds_the_secret_and_nobody_else_does(
    hire: Hire, server: RainbowServer, secrets: SiteSecrets, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    agent = hire(secrets=secrets)
    go = tmp_path / "go"
    jobid = agent.submit(
        f'{until_there(go)}; [ "$TOKEN" = "$(cat {tmp_path}/expected)" ] && echo same', secrets={"TOKEN": "site:hf"}
    )
    (tmp_path / "expected").write_text(VALUE)

    agent.work(lambda: agent.job(jobid).state == JobState.RUNNING)
    assert not [found for found in command_lines() if VALUE.encode() in found]
    assert not [file for file in files_below(tmp_path / "state") if VALUE.encode() in file.read_bytes()]
    go.touch()
    (job,) = agent.finish(jobid)

    assert (job.output, job.state, dict(job.secrets)) == ("same\n", JobState.COMPLETED, {"TOKEN": "site:hf"})
    assert VALUE not in caplog.text
    rows = execute(server.database_url, f"SELECT * FROM jobs_job WHERE id = {jobid}")
    assert VALUE not in str(rows)


def test_a_job_of_no_person_is_refused_a_persons_secret(hire: Hire, secrets: SiteSecrets) -> None:
    agent = hire(secrets=secrets)
    jobid = agent.submit("echo $TOKEN", secrets={"TOKEN": "site:ada"})

    (job,) = agent.finish(jobid)

    assert (job.state, job.output) == (JobState.FAILED, "")
    assert job.reason == "secrets: this cluster has no secret ada for jobs of no person and no project"


def test_where_the_site_has_none_such_a_job_is_refused(hire: Hire) -> None:
    agent = hire()
    jobid = agent.submit("true", secrets={"TOKEN": "site:hf"})

    (job,) = agent.finish(jobid)

    assert (job.state, job.reason) == (JobState.FAILED, "secrets: this cluster has no secrets")


def test_a_persons_job_gets_hers(
    hire: Hire,
    scheduler: ScriptedExecutor,
    server: RainbowServer,
    remote: Remote,
    stranger: Run,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = f"ada-of-{remote.name}"
    path.write_text(TABLE.replace('"ada"', f'"{person}"'))
    monkeypatch.setenv("RAINBOW_CLUSTER", remote.name)
    monkeypatch.setenv("RAINBOW_TOKEN", token_of_person(server, person, remote.name))
    agent = hire(executor=scheduler, secrets=SiteSecrets(file=SecretsFile(path=path)))

    submitted = answer(stranger("submit", "--json", "--secret", "TOKEN=site:ada", "--", "true"))

    key = f"rainbow-{submitted['jobid']}-1"
    agent.work(lambda: key in scheduler.jobs)
    assert scheduler.jobs[key].secret_values == {"TOKEN": "hers"}
    journal = agent.folder / "journal.db"
    assert b"hers" not in b"".join(file.read_bytes() for file in journal.parent.glob("journal.db*"))


def test_a_job_that_is_held_waits_for_the_file(
    hire: Hire, scheduler: ScriptedExecutor, secrets: SiteSecrets, path: Path
) -> None:
    path.write_text("[secrets")
    agent = hire(executor=scheduler, secrets=secrets)
    jobid = agent.submit("true", secrets={"TOKEN": "site:hf"})
    agent.work(lambda: "cannot be read for now" in agent.job(jobid).reason)

    path.write_text(TABLE)
    agent.clock.move(5)

    agent.work(lambda: scheduler.jobs)


def test_a_batch_script_holds_no_value_and_the_file_is_the_agents_alone(tmp_path: Path) -> None:
    site = Site(folder=tmp_path, environment={})
    asked = Work(command="true", secret_values={"TOKEN": VALUE})
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()

    write_secrets(asked, folder)

    assert VALUE not in slurm_script(asked, folder, site) + flux_script(asked, folder, site)
    assert "secrets" in slurm_script(asked, folder, site) and "secrets" in flux_script(asked, folder, site)
    assert stat.S_IMODE((folder.path / "secrets").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_in_a_container_its_shell_reads_them_from_a_file_that_is_the_agents_alone(tmp_path: Path) -> None:
    asked = Work(command="true", image="debian", environment={"A": "1"}, secret_values={"TOKEN": "it's"})
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()

    write_inside(asked, folder)

    assert script_inside(asked).startswith("export A=1\nexport TOKEN='it'\"'\"'s'\n")
    assert stat.S_IMODE((folder.path / "inside").stat().st_mode) == 0o600


def test_the_values_are_in_no_representation_of_a_job() -> None:
    assert VALUE not in repr(Work(command="true", secret_values={"TOKEN": VALUE}))
    assert VALUE not in repr(Secret(value=VALUE, all=True))


def command_lines() -> list[bytes]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_bytes())
        except OSError:
            continue
    return found


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_of_a_job_that_is_over_no_file_has_its_secrets(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    write_secrets(Work(command="true", secret_values={"TOKEN": VALUE}), folder)
    write_inside(Work(command="true", image="debian", secret_values={"TOKEN": VALUE}), folder)

    folder.forget_secrets()

    assert not [file for file in files_below(tmp_path) if VALUE.encode() in file.read_bytes()]
