"""Jobs that run as the person: two Unix users, a real sudo, a real Slurm."""

import pwd
import re
import stat
from dataclasses import replace

import pytest

from rainbow.executors.executor import Ending, Executor, JobPhase, SchedulerSilent, Site, WorkRefused
from rainbow.executors.slurm import SlurmExecutor
from rainbow.specs import Work
from tests.support.executors import hand_over, progress, until_there, wait_for, wait_until
from tests.support.persons_cast import NEEDS_USERS, cluster, site, slurm, users
from tests.support.servers import ROOT
from tests.support.slurm_cluster import SlurmCluster
from tests.support.unix_users import UnixUsers

pytestmark = NEEDS_USERS
__all__ = ["cluster", "site", "slurm", "users"]


def uid(user: str) -> int:
    return pwd.getpwnam(user).pw_uid


def test_a_job_runs_as_its_user(slurm: Executor, users: UnixUsers, cluster: SlurmCluster) -> None:
    go = users.signs / "go-1"
    command = f"id -un; echo $HOME; pwd; touch ~/made; {until_there(go)}"
    ticket = hand_over(slurm, "rainbow-1-1", command, run_as=users.ada)
    wait_for(slurm, ticket, JobPhase.RUNNING)

    assert cluster.run("squeue", "--noheader", "--name=rainbow-1-1", "--format=%u").strip() == users.ada
    go.touch()
    seen = wait_for(slurm, ticket, JobPhase.ENDED)
    home = pwd.getpwnam(users.ada).pw_dir
    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 0)
    assert slurm.output(ticket).splitlines() == [users.ada, home, home]
    made = users.persons / users.ada / "rainbow-1-1"
    assert {(made / name).stat().st_uid for name in ("output", "started", "ended")} == {uid(users.ada)}


def test_two_users_jobs_are_cancelled_and_forgotten_together(slurm: Executor, users: UnixUsers) -> None:
    tickets = [
        hand_over(slurm, key, "sleep 600", run_as=user)
        for key, user in (("rainbow-2-1", users.ada), ("rainbow-3-1", users.bob))
    ]
    for ticket in tickets:
        wait_for(slurm, ticket, JobPhase.RUNNING)

    slurm.cancel(tickets)

    ends = [wait_for(slurm, ticket, JobPhase.ENDED).ending for ticket in tickets]
    assert ends == [Ending.CANCELLED, Ending.CANCELLED]
    for ticket in tickets:
        slurm.forget(ticket)
    assert not (users.persons / users.ada / "rainbow-2-1").exists()
    while slurm.tidy([]):
        pass
    assert list((users.persons / "trash").iterdir()) == []


def test_a_user_as_whom_the_agent_may_no_longer_act_keeps_no_other_job_from_being_stopped(
    slurm: Executor, users: UnixUsers
) -> None:
    running = [hand_over(slurm, f"rainbow-{50 + n}-1", "sleep 600", run_as=user) for n, user in enumerate(users.both)]
    for ticket in running:
        wait_for(slurm, ticket, JobPhase.RUNNING)
    waiting = [
        hand_over(slurm, f"rainbow-{52 + n}-1", "true", nodes=4, run_as=user) for n, user in enumerate(users.both)
    ]

    with users.out_of_the_group(users.ada):
        with pytest.raises(SchedulerSilent, match="scancel"):
            slurm.cancel(running)
        with pytest.raises(SchedulerSilent, match="scontrol hold"):
            slurm.withdraw(waiting)

    assert wait_for(slurm, running[1], JobPhase.ENDED).ending == Ending.CANCELLED
    assert wait_for(slurm, waiting[1], JobPhase.ENDED).ending == Ending.WITHDRAWN
    assert progress(slurm, running[0]).phase == JobPhase.RUNNING
    slurm.cancel([running[0], waiting[0]])
    wait_for(slurm, running[0], JobPhase.ENDED)


def test_a_waiting_job_of_a_user_is_withdrawn(slurm: Executor, users: UnixUsers) -> None:
    ticket = hand_over(slurm, "rainbow-4-1", "true", nodes=4, run_as=users.ada)
    assert progress(slurm, ticket).phase == JobPhase.PENDING

    slurm.withdraw([ticket])

    assert wait_for(slurm, ticket, JobPhase.ENDED).ending == Ending.WITHDRAWN


def test_an_agent_that_lost_its_folder_finds_the_jobs_of_users(slurm: Executor, site: Site, users: UnixUsers) -> None:
    ticket = hand_over(slurm, "rainbow-5-1", "sleep 600", run_as=users.bob)
    another = SlurmExecutor(replace(site, folder=site.folder / "another"))

    assert another.find(["rainbow-5-1"]) == {"rainbow-5-1": ticket.native_id}
    another.cancel([ticket])
    assert wait_for(another, ticket, JobPhase.ENDED).ending == Ending.CANCELLED


def test_another_users_job_of_the_same_name_is_not_taken_for_ours(
    slurm: Executor, users: UnixUsers, cluster: SlurmCluster
) -> None:
    place = users.persons / users.ada / "rainbow-6-1"
    answer = users.sudo(
        "-u", users.bob, "sbatch", "--parsable", "--job-name=rainbow-6-1", f"--chdir={place}", "--hold", "--wrap=true"
    )
    assert answer.returncode == 0, answer.stderr

    assert slurm.find(["rainbow-6-1"]) == {}
    ticket = hand_over(slurm, "rainbow-6-1", "id -un", run_as=users.ada)
    wait_for(slurm, ticket, JobPhase.ENDED)
    assert slurm.find(["rainbow-6-1"]) == {"rainbow-6-1": ticket.native_id}
    assert slurm.output(ticket) == f"{users.ada}\n"
    users.sudo("-u", users.bob, "scancel", answer.stdout.strip())


@pytest.mark.parametrize("place", ["of the user", "of the agent"])
def test_no_user_puts_a_job_of_their_own_in_the_place_of_anothers(
    slurm: Executor, users: UnixUsers, site: Site, place: str
) -> None:
    """Before the agent has handed it over, when a crash makes it ask for the name."""
    key = f"rainbow-{20 + len(place)}-1"
    folders = {"of the user": users.persons / users.bob / key, "of the agent": site.folder / "jobs" / key}
    words = ("--parsable", f"--job-name={key}", f"--chdir={folders[place]}", "--hold", "--wrap=true")
    answer = users.sudo("-u", users.bob, "sbatch", *words)
    assert answer.returncode == 0, answer.stderr

    assert slurm.find([key]) == {}
    ticket = hand_over(slurm, key, "id -un", run_as=users.ada)
    wait_for(slurm, ticket, JobPhase.ENDED)
    assert slurm.output(ticket) == f"{users.ada}\n"
    users.sudo("-u", users.bob, "scancel", answer.stdout.strip())


def test_no_user_makes_another_job_of_a_folder_that_the_agent_made(
    slurm: Executor, users: UnixUsers, site: Site
) -> None:
    bobs = users.persons / users.bob
    command = f"cp -r {bobs}/rainbow-40-1 {bobs}/rainbow-41-1; mv {bobs}/rainbow-40-1 {bobs}/rainbow-42-1"
    wait_for(slurm, hand_over(slurm, "rainbow-40-1", command, run_as=users.bob), JobPhase.ENDED, JobPhase.GONE)
    for key in ("rainbow-41-1", "rainbow-42-1"):
        words = ("--parsable", f"--job-name={key}", f"--chdir={bobs / key}", "--hold", "--wrap=true")
        assert users.sudo("-u", users.bob, "sbatch", *words).returncode == 0

    assert slurm.find(["rainbow-41-1", "rainbow-42-1"]) == {}


def test_a_job_reaches_neither_the_agents_files_nor_those_of_another_users_job(
    slurm: Executor, users: UnixUsers, site: Site
) -> None:
    adas = hand_over(slurm, "rainbow-7-1", "echo hers; exit 3", run_as=users.ada)
    wait_for(slurm, adas, JobPhase.ENDED)
    place = users.persons / users.ada / "rainbow-7-1"
    attempts = [f"cat {place}/output", f"echo '0 1' > {place}/ended", f"rm -rf {place}", f"ls {site.folder}"]

    bobs = hand_over(
        slurm, "rainbow-8-1", "; ".join(f"({line}) && echo reached" for line in attempts), run_as=users.bob
    )
    wait_for(slurm, bobs, JobPhase.ENDED)

    assert "reached" not in slurm.output(bobs)
    assert slurm.output(adas) == "hers\n"
    assert progress(slurm, adas).exit_code == 3


@pytest.mark.parametrize("name", ["output", "started", "ended"])
def test_the_agent_follows_no_link_of_a_users_job(slurm: Executor, users: UnixUsers, site: Site, name: str) -> None:
    secret = site.folder / "secret"
    secret.write_text("1 1 1\n")
    key = f"rainbow-9-{len(name)}"
    place = users.persons / users.ada / key
    ticket = hand_over(slurm, key, f"cd {place} && rm -f {name} && ln -s {secret} {name}", run_as=users.ada)
    wait_for(slurm, ticket, JobPhase.ENDED, JobPhase.GONE)

    try:
        read = slurm.output(ticket)
    except OSError:
        read = ""

    assert "1 1 1" not in read
    slurm.forget(ticket)
    assert secret.read_text() == "1 1 1\n"


def test_a_job_that_replaces_its_folder_gives_the_agent_nothing(slurm: Executor, users: UnixUsers, site: Site) -> None:
    (site.folder / "elsewhere").mkdir(exist_ok=True)
    (site.folder / "elsewhere" / "output").write_text("the agent's\n")
    place = users.persons / users.ada / "rainbow-10-1"
    command = f"cd / && mv {place} {place}.moved && ln -s {site.folder}/elsewhere {place}"
    ticket = hand_over(slurm, "rainbow-10-1", command, run_as=users.ada)
    wait_for(slurm, ticket, JobPhase.ENDED, JobPhase.GONE)

    with pytest.raises(OSError, match="rainbow-10-1"):
        slurm.output(ticket)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("root", "a user of the system"),
        ("daemon", "a user of the system"),
        ("nobody", "a user of the system"),
        ("no-such-user", "has no Unix user no-such-user"),
        ("rainbow-agent", "runs no jobs as rainbow-agent"),
    ],
)
def test_no_job_runs_as_a_user_of_the_system(slurm: Executor, name: str, reason: str) -> None:
    with pytest.raises(WorkRefused, match=reason):
        slurm.submit(Work(command="true", run_as=name), "rainbow-11-1")


def test_a_user_whom_the_system_knows_by_another_name_is_refused(
    slurm: Executor, users: UnixUsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As directories without case do, or with names that have a space in them."""
    found = pwd.getpwnam(users.ada)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd((f"{name} of the lab", *found[1:])))

    with pytest.raises(WorkRefused, match=f"knows the Unix user {users.ada} as {users.ada} of the lab"):
        slurm.submit(Work(command="true", run_as=users.ada), "rainbow-14-1")


def test_a_user_without_a_folder_is_refused_with_that_reason(slurm: Executor, users: UnixUsers) -> None:
    with pytest.raises(WorkRefused, match=f"{users.outsider} has no folder"):
        slurm.submit(Work(command="true", run_as=users.outsider), "rainbow-12-1")


def test_what_was_handed_over_as_one_user_is_never_handed_over_as_another(slurm: Executor, users: UnixUsers) -> None:
    wait_for(slurm, hand_over(slurm, "rainbow-13-1", "true", run_as=users.ada), JobPhase.ENDED)

    with pytest.raises(WorkRefused, match=f"handed over as {users.ada} before"):
        slurm.submit(Work(command="true", run_as=users.bob), "rainbow-13-1")


@pytest.mark.parametrize(
    "words",
    [
        ("-u", "rbtest-ada", "id"),
        ("-u", "rbtest-ada", "sh", "-c", "id"),
        ("-u", "rbtest-ada", "scontrol", "update", "JobId=1", "Priority=1"),
        ("-u", "rbtest-ada", "SLURM_CONF=/tmp/of-ours", "sbatch", "--version"),
        ("-u", "rbtest-eve", "sbatch", "--version"),
        ("-u", "root", "sbatch", "--version"),
        ("-u", "#0", "sbatch", "--version"),
        ("-g", "root", "sbatch", "--version"),
        ("sbatch", "--version"),
    ],
    ids=" ".join,
)
def test_the_agents_user_may_do_nothing_else(users: UnixUsers, words: tuple[str, ...]) -> None:
    assert users.sudo("-u", users.ada, "sbatch", "--version").returncode == 0

    answer = users.sudo(*words)

    assert answer.returncode == 1
    assert "password is required" in answer.stderr or "not allowed" in answer.stderr


def test_what_the_units_drop_in_leaves_is_enough_for_sudo(users: UnixUsers) -> None:
    unit = (ROOT / "deploy" / "rainbow-agent-persons.conf").read_text()
    found = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)[0].split()
    left = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in found)])
    words = ("-u", users.ada, "sbatch", "--version")

    assert "NoNewPrivileges=false" in unit
    assert users.sudo(*words, within=[f"--bounding-set={left}"]).returncode == 0
    assert users.sudo(*words, within=["--no-new-privs"]).returncode == 1
    assert users.sudo(*words, within=["--bounding-set=-all"]).returncode != 0


def test_a_users_secret_is_in_a_folder_of_that_user_and_the_agent(
    slurm: Executor, users: UnixUsers, cluster: SlurmCluster
) -> None:
    go = users.signs / "go-secret"
    ticket = hand_over(
        slurm, "rainbow-70-1", f'{until_there(go)}; echo "$TOKEN"', run_as=users.ada, secret_values={"TOKEN": "it's"}
    )
    wait_for(slurm, ticket, JobPhase.RUNNING)
    folder = users.persons / users.ada
    assert stat.S_IMODE(folder.stat().st_mode) & stat.S_IRWXO == 0
    wait_until(lambda: not (folder / "rainbow-70-1" / "secrets").exists())
    assert "it's" not in cluster.run("scontrol", "write", "batch_script", ticket.native_id, "-")
    go.touch()
    wait_for(slurm, ticket, JobPhase.ENDED)

    assert slurm.output(ticket) == "it's\n"


def test_a_users_job_finds_its_inputs_and_writes_beside_them(slurm: Executor, users: UnixUsers) -> None:
    (users.signs / "0").write_text("data\n")
    ticket = hand_over(
        slurm,
        "rainbow-71-1",
        "cat conf/own; touch conf/new made; rm conf/own; ls -d conf/* made",
        run_as=users.ada,
        inputs={"conf/own": "0"},
        staged=str(users.signs),
    )
    wait_for(slurm, ticket, JobPhase.ENDED)

    assert slurm.output(ticket) == "data\nconf/new\nmade\n"
