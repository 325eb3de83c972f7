"""The restore drill: copies of a database that a server writes to, and servers on the restored copy."""

import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rainbow.client import Client
from rainbow.records import JobSpec
from tests.support.busy_server import busy, register
from tests.support.manual import typed
from tests.support.patience import PATIENCE_SECONDS
from tests.support.postgresql import RELEASE, WHEEL
from tests.support.rows import execute
from tests.support.servers import ROOT, RainbowServer, environment_for

PAGE = "backup.md"
CHECKS = (("Restore", "check_records\n"), ("Check the records", "check_records\n"), ("Check the records", "--mend"))
PROGRAMS = WHEEL / RELEASE / "bin"


def run(command: str, *, folder: Path, database_url: str) -> "subprocess.CompletedProcess[str]":
    environment = environment_for(database_url)
    environment["PATH"] = f"{ROOT / '.venv' / 'bin'}:{PROGRAMS}:{environment['PATH']}"
    words = ["bash", "-c", f"umask 022; {command.replace('/var/backups/rainbow', str(folder))}"]
    where = ROOT if "manage.py" in command else folder
    return subprocess.run(
        words, cwd=where, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )


@pytest.fixture
def database_url(new_database: Callable[[], str], tmp_path: Path) -> str:
    url = new_database()
    if url.startswith("postgresql:"):
        return url
    Path(url.removeprefix("sqlite:///")).rename(tmp_path / "rainbow.db")
    return f"sqlite:///{tmp_path / 'rainbow.db'}"


@pytest.fixture
def restored_url(database_url: str) -> Iterator[str]:
    if database_url.startswith("sqlite:"):
        yield database_url
        return
    name = f"{urlsplit(database_url).path.strip('/')}_restored"
    yield urlsplit(database_url)._replace(path=f"/{name}").geturl()
    subprocess.run(
        [PROGRAMS / "dropdb", f"--maintenance-db={database_url}", "--if-exists", "--force", name], check=True
    )


def restore(folder: Path, database_url: str, restored_url: str) -> None:
    for line in typed(PAGE, "Restore", urlsplit(database_url).scheme if "postgres" in database_url else "cp "):
        named = line.replace("postgresql://postgres@db.example.org/postgres", f"'{database_url}'")
        named = named.replace("postgresql://rainbow@db.example.org/rainbow_restored", f"'{restored_url}'")
        named = named.replace("--owner=rainbow ", "").replace(
            " rainbow_restored", f" {urlsplit(restored_url).path.strip('/')}"
        )
        done = run(named, folder=folder, database_url=database_url)
        assert done.returncode == 0, done.stderr


def test_a_restored_backup_has_what_was_acknowledged_before_it(
    start_server: Callable[..., RainbowServer], database_url: str, restored_url: str, tmp_path: Path
) -> None:
    server = start_server(database_url=database_url)
    new = register(server)
    with Client(server.address, cluster="keebler", token=new.token) as submitter:
        before = {one.jobid for one in submitter.submit_jobs([JobSpec(command="hostname")] * 300).results}
    (line,) = typed(PAGE, "Back up", "manage.py backup")

    with busy(server, new):
        done = run(line, folder=tmp_path, database_url=database_url)
        again = run(line, folder=tmp_path, database_url=database_url)

    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"Wrote .*/2026-11-28: [\d,]+ bytes, verified\.\n", done.stdout)
    assert again.returncode == 1
    assert again.stderr.endswith("/2026-11-28 exists already\n")
    assert stat.filemode((tmp_path / "2026-11-28").stat().st_mode) == "-rw-------", "others can read what jobs run"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    server.stop()
    execute(database_url, "DELETE FROM jobs_joblabel")

    restore(tmp_path, database_url, restored_url)
    server = start_server(database_url=restored_url)

    with Client(server.address, cluster="keebler", token=new.token) as submitter:
        assert {job.id for job in submitter.get_jobs(sorted(before)).jobs} == before
        assert submitter.submit_jobs([JobSpec(command="hostname")]).results[0].jobid
    (one,), (plain,), (mending,) = (typed(PAGE, *where) for where in CHECKS)
    assert one == plain
    for line in (plain, mending):
        done = run(line, folder=tmp_path, database_url=restored_url)
        assert (done.returncode, done.stdout) == (0, "The records agree with one another.\n"), done.stderr
