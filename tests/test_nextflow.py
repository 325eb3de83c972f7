"""What Nextflow's executor `slurm` does, call by call as in its source, with a server and an agent of this machine."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer
from tests.support.tours import shell

LAUNCHER = """\
#!/bin/bash
#SBATCH -J nf-{name}
#SBATCH -o {folder}/.command.log
#SBATCH --no-requeue
#SBATCH --signal B:USR2@{before}
#SBATCH -c 1
#SBATCH -t {limit}
NXF_CHDIR={folder}

set -e
set -u

on_exit() {{
    printf -- ${{nxf_main_ret:=0}} > {folder}/.exitcode
    exit $nxf_main_ret
}}

nxf_main() {{
    trap on_exit EXIT
    trap 'nxf_main_ret=140; exit' TERM INT USR2
    trap '' USR1
    cd "$NXF_CHDIR"
    touch .command.begin
    set +e
    (set -o pipefail; bash -ue .command.sh | tee .command.out) &
    wait $! || nxf_main_ret=$?
}}

nxf_main
"""
ARRAY = """\
#!/bin/bash
#SBATCH --array 0-1
#SBATCH -J nf-array
#SBATCH -o /dev/null
#SBATCH --no-requeue
#SBATCH --signal B:USR2@30
declare -a array=( {folders} )
bash ${{array[SLURM_ARRAY_TASK_ID]}}/.command.run
"""
STATUS = ["squeue", "--noheader", "-o", "%i %t", "-t", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`commands`: the folder with Slurm's names for rainbow's commands, as the manual makes it."""

    folder: Path
    commands: Path
    environment: dict[str, str]

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.commands / words[0]), *words[1:]],
            cwd=cwd or self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def task(self, name: str, script: str, *, limit: str = "01:00:00", before: int = 30) -> Path:
        folder = self.folder / "work" / name
        folder.mkdir(parents=True)
        (folder / ".command.sh").write_text(script)
        (folder / ".command.run").write_text(LAUNCHER.format(name=name, folder=folder, limit=limit, before=before))
        return folder

    def submit(self, folder: Path, script: str = ".command.run") -> str:
        told = self.run("sbatch", script, cwd=folder)
        assert told.returncode == 0, told.stdout
        return next(found[1] for line in told.stdout.splitlines() if (found := _SUBMITTED.search(line)))

    def states(self, *more: str) -> dict[str, str]:
        told = self.run(*STATUS, *more)
        assert told.returncode == 0, told.stdout
        return dict(cells for line in told.stdout.splitlines() if len(cells := line.split()) == 2)


_SUBMITTED = re.compile(r"Submitted batch job (\d+)")


@pytest.fixture
def site(start_server: Callable[..., RainbowServer], embedded_database: str, tmp_path: Path) -> Iterator[Site]:
    server = start_server(database_url=embedded_database, environment={"RAINBOW_REGISTRATION_SECRET": ""})
    commands = tmp_path / "rainbow-slurm"
    commands.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        (commands / name).write_text(f'#!/bin/sh\nexec rainbow {name} "$@"\n')
        (commands / name).chmod(0o755)
    with shell(server, tmp_path) as environment:
        yield Site(folder=tmp_path, commands=commands, environment=environment)


def ended(folder: Path) -> str:
    wait_until(lambda: (folder / ".exitcode").exists() and (folder / ".exitcode").read_text() != "")
    return (folder / ".exitcode").read_text()


def test_tasks_run_where_nextflow_looks_for_their_ends(site: Site) -> None:
    good, bad = site.task("good", "echo hello > greeting; cat greeting"), site.task("bad", "echo no >&2; exit 3")

    jobs = [site.submit(good), site.submit(bad)]

    assert (ended(good), ended(bad)) == ("0", "3")
    assert (good / ".command.out").read_text() == (good / ".command.log").read_text() == "hello\n"
    assert (bad / ".command.log").read_text() == "no\n"
    wait_until(lambda: site.states("-u", getuser()) == {jobs[0]: "CD", jobs[1]: "F"})
    assert site.states("--only-job-state") == site.states("-u", getuser())
    assert site.states("-p", "long", "-u", getuser()) == {}


def test_a_task_is_told_before_its_time_limit(site: Site) -> None:
    # Five seconds after it starts, by when its shell is there also on a busy machine.
    folder = site.task("slow", "sleep 1000", limit="00:10:00", before=595)

    site.submit(folder)

    assert ended(folder) == "140"


def test_tasks_of_an_array_are_known_by_its_id_and_their_indexes(site: Site) -> None:
    folders = [site.task(str(index), "sleep 1000") for index in (0, 1)]
    (site.folder / "array.run").write_text(ARRAY.format(folders=" ".join(map(str, folders))))

    array = site.submit(site.folder, "array.run")

    wait_until(lambda: all((folder / ".command.begin").exists() for folder in folders))
    wait_until(lambda: site.states("-u", getuser()) == {f"{array}_0": "R", f"{array}_1": "R"})
    assert site.run("scancel", f"{array}_0", f"{array}_1").returncode == 0
    wait_until(lambda: site.states("-u", getuser()) == {f"{array}_0": "CA", f"{array}_1": "CA"})
