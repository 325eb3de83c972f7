"""What the Slurm executor makes of answers that the real Slurm of these tests does not give."""

import errno
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors import slurm_accounts
from rainbow.executors.commands import all_submitted, submitting
from rainbow.executors.executor import Ending, JobPhase, MayStart, NotTaken, SchedulerSilent, Site, Ticket, WorkRefused
from rainbow.executors.folders import Records, folder_of
from rainbow.executors.slurm import SlurmExecutor
from rainbow.executors.slurm_nodes import free
from rainbow.executors.slurm_records import from_sacct, from_squeue
from rainbow.specs import Work

EMPTY = '{"jobs": [], "errors": []}'
NO_ACCOUNTS = "echo 'Slurm accounting storage is disabled' >&2; exit 1"


def number(value: int | None) -> dict[str, Any]:
    """A number as Slurm 23.02 and later write it."""
    return {"set": value is not None, "infinite": False, "number": value or 0}


def job(**more: Any) -> str:
    """One job as Slurm 23.11 describes it (OpenAPI v0.0.40)."""
    usual = {
        "job_id": 7,
        "name": "rainbow-1-1",
        "current_working_directory": "/state",
        "job_state": ["COMPLETED"],
        "state_reason": "None",
        "state_description": "",
        "nodes": "n0",
        "exit_code": {"status": ["SUCCESS"], "return_code": number(0), "signal": {"id": number(None), "name": ""}},
        "start_time": number(1795374601),
        "end_time": number(1795374602),
    }
    return json.dumps({"jobs": [{**usual, **more}], "errors": []})


def refuse_for_want_of_space(*args: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class Commands:
    """Slurm's commands, played by scripts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Site(folder=folder / "state", environment={"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/"})
        self.pauses: list[float] = []
        self.slurm = SlurmExecutor(self.site, pause=self.pauses.append)

    def play(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o700)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    played = Commands(tmp_path)
    played.play("squeue", f"echo '{EMPTY}'")
    played.play("sacct", NO_ACCOUNTS)
    return played


@pytest.mark.parametrize(
    ("more", "ending", "code", "signal"),
    [
        ({}, Ending.EXITED, 0, None),
        ({"job_state": ["FAILED"], "exit_code": {"return_code": number(7), "signal": {}}}, "exited", 7, None),
        ({"job_state": ["FAILED"], "exit_code": {"return_code": 0, "signal": {"signal_id": 9}}}, "signalled", None, 9),
        ({"job_state": ["CANCELLED"], "exit_code": 15}, "cancelled", None, None),
        ({"job_state": "NODE_FAIL"}, "node_failed", None, None),
        ({"job_state": "BOOT_FAIL"}, "node_failed", None, None),
        ({"job_state": "OUT_OF_MEMORY", "exit_code": 125 << 8}, "out_of_memory", None, None),
        ({"job_state": "PREEMPTED", "exit_code": 15}, "preempted", None, None),
        ({"job_state": "LAUNCH_FAILED"}, "failed", None, None),
        ({"job_state": "FAILED", "exit_code": 53}, "failed", None, None),
        ({"job_state": "DEADLINE"}, "timed_out", None, None),
    ],
)  # fmt: skip
def test_the_ends_of_all_versions_are_understood(
    more: dict[str, Any], ending: str, code: int | None, signal: int | None
) -> None:
    (record,) = from_squeue(job(**more))

    seen = record.progress()

    assert (seen.phase, seen.ending, seen.exit_code, seen.signal) == (JobPhase.ENDED, ending, code, signal)


@pytest.mark.parametrize(
    ("states", "phase"),
    [
        (["PENDING"], JobPhase.PENDING),
        (["RUNNING", "CONFIGURING"], JobPhase.PENDING),
        (["RUNNING"], JobPhase.RUNNING),
        (["SUSPENDED"], JobPhase.RUNNING),
        (["CANCELLED", "COMPLETING"], JobPhase.RUNNING),
        ("COMPLETING", JobPhase.RUNNING),
    ],
)
def test_the_states_before_the_end_are_understood(states: Any, phase: JobPhase) -> None:
    (record,) = from_squeue(job(job_state=states, state_reason="Resources", state_description="soon"))

    seen = record.progress()

    assert (seen.phase, seen.ending) == (phase, None)
    assert seen.reason == ("Resources: soon" if phase == JobPhase.PENDING else "")


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"jobs": [{}]}', '{"jobs": [], "errors": [{"description": "Failed", "error": "Unspecified error"}]}'],
)
def test_an_answer_without_sense_says_nothing_about_jobs(commands: Commands, text: str) -> None:
    commands.play("squeue", f"echo '{text}'")

    with pytest.raises(SchedulerSilent, match="squeue"):
        commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7")])


def test_accounts_are_understood() -> None:
    lines = (
        "7|rainbow-1-1|CANCELLED by 1000|0:15|1795374601|1795374602|None|ada\n"
        "8|rainbow-2-1|FAILED|7:0|1795374601|1795374602|None|ada\n"
        "9|rainbow-3-1|PENDING|0:0|Unknown|Unknown|Priority|ada\n"
    )

    cancelled, failed, waiting = from_sacct(lines)

    assert cancelled.progress().ending == Ending.CANCELLED
    assert (failed.progress().ending, failed.progress().exit_code) == (Ending.EXITED, 7)
    assert (waiting.progress().phase, waiting.progress().reason) == (JobPhase.PENDING, "Priority")


def test_what_left_the_queue_is_looked_up_in_the_accounts(commands: Commands) -> None:
    commands.play("sacct", "echo '7|rainbow-1-1|TIMEOUT|0:15|1795374601|1795374602|None|ada'")

    seen = commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7"), Ticket(key="rainbow-2-1", native_id="8")])

    assert seen["rainbow-1-1"].ending == Ending.TIMED_OUT
    assert seen["rainbow-2-1"].phase == JobPhase.GONE


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
def test_accounts_that_missed_an_end_do_not_keep_a_job_going(commands: Commands, state: str) -> None:
    """What sacctmgr(1) calls runaway jobs."""
    commands.play(
        "sacct",
        f"""echo '7|rainbow-1-1|{state}|0:0|1795374601|Unknown|None|ada'
        echo '8|rainbow-2-1|{state}|0:0|1795374601|Unknown|None|ada'""",
    )
    folder = folder_of(commands.site.folder, "rainbow-1-1")
    folder.make()
    folder.started.write_text("7 1795374601 0\n")
    folder.ended.write_text("3 1795374602\n")

    seen = commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7"), Ticket(key="rainbow-2-1", native_id="8")])

    assert (seen["rainbow-1-1"].phase, seen["rainbow-1-1"].exit_code) == (JobPhase.ENDED, 3)
    assert seen["rainbow-2-1"].phase == JobPhase.GONE, "which the agent believes after a while"


def test_a_job_of_a_hidden_partition_goes_on(commands: Commands) -> None:
    """Slurm 23.02 and later list it with `--all` alone (squeue(1))."""
    running = job(job_state=["RUNNING"])
    commands.play("squeue", f"""case "$*" in *--all*) echo '{running}' ;; *) echo '{EMPTY}' ;; esac""")

    seen = commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7")])

    assert seen["rainbow-1-1"].phase == JobPhase.RUNNING


def test_a_hidden_partition_that_is_configured_is_told_as_a_fact(commands: Commands) -> None:
    """As Slurm 22.05 lists it."""
    rows = "{}|1:00:00|1-infinite|1|2|1000|(null)|(null)|n{}".format
    commands.play(
        "sinfo",
        f"""case "$*" in
          --version) echo 'slurm-wlm 22.05.8' ;;
          *--partition=secret*) echo '{rows("secret", 1)}' ;;
          *) echo '{rows("debug*", 0)}' ;;
        esac""",
    )
    commands.play("scontrol", "exit 0")
    slurm = SlurmExecutor(replace(commands.site, options=("--partition=secret",)))

    assert {one.name: one.default for one in slurm.facts().partitions} == {"debug": False, "secret": True}


def test_an_end_that_accounts_tell_counts_more_than_the_jobs_own_note(commands: Commands) -> None:
    commands.play("sacct", "echo '7|rainbow-1-1|TIMEOUT|0:15|1795374601|1795374602|None|ada'")
    folder = folder_of(commands.site.folder, "rainbow-1-1")
    folder.make()
    folder.started.write_text("7 1795374601 0\n")
    folder.ended.write_text("0 1795374602\n")

    seen = commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7")])

    assert seen["rainbow-1-1"].ending == Ending.TIMED_OUT


def test_accounts_that_do_not_answer_leave_the_job_open(commands: Commands) -> None:
    commands.play("sacct", "echo 'sacct: error: Problem talking to the database: Connection refused' >&2; exit 1")

    assert commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7")]) == {}


def test_one_empty_answer_of_the_accounts_is_not_believed(commands: Commands) -> None:
    state = commands.site.folder / "jobs" / "rainbow-1-1"
    line = "7|rainbow-1-1|CANCELLED|0:0|Unknown|1795374602|None|ada"
    commands.play(
        "sacct",
        f'case "$*" in *WorkDir*) echo "{state}"; exit ;; esac\n'
        f'if [ -e "{commands.folder}/asked" ]; then echo "{line}"; fi; : > "{commands.folder}/asked"',
    )

    found = commands.slurm.find(["rainbow-1-1"])

    assert found == {"rainbow-1-1": "7"}
    assert commands.pauses == [4.0]


def test_a_job_in_another_folder_is_not_taken_for_ours_whatever_its_user_called_that(commands: Commands) -> None:
    """sacct prints line breaks as they are: one in the folder's name would make a record of its own."""
    state = commands.site.folder / "jobs" / "rainbow-1-1"
    commands.play(
        "sacct",
        f"""case "$*" in
        *WorkDir*) printf '/tmp/x\n{state}\n' ;;
        *) echo '7|rainbow-1-1|COMPLETED|0:0|1795374601|1795374602|None|ada' ;;
        esac""",
    )

    assert commands.slurm.find(["rainbow-1-1"]) == {}


def test_accounts_are_asked_for_the_names_that_jobs_have_here(commands: Commands) -> None:
    """Their users can change them since, also to lines that look like the record of another job."""
    commands.play("sacct", f'printf "%s\\n" "$@" > {commands.folder}/words')

    commands.slurm.watch([Ticket(key="rainbow-1-1", native_id="7"), Ticket(key="rainbow-2-1", native_id="8")])

    words = (commands.folder / "words").read_text().splitlines()
    assert words[words.index("--name") + 1] == "rainbow-1-1,rainbow-2-1"
    assert words[words.index("--jobs") + 1] == "7,8"
    assert not any("WorkDir" in word for word in words)


def test_accounts_are_asked_for_any_number_of_names(commands: Commands) -> None:
    commands.play("sacct", f"echo asked >> {commands.folder}/asked")
    keys = [f"rainbow-{1_000_000 + number}-1" for number in range(8000)]

    assert commands.slurm.find(keys) == {}

    assert (commands.folder / "asked").read_text().splitlines() == ["asked"] * 16
    assert commands.pauses == [4.0]


def test_jobs_are_held_as_many_at_once_as_an_argument_takes(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_accounts, "MOST_AT_ONCE", 2)
    tickets = [Ticket(key=f"rainbow-{number}-1", native_id=str(100 + number)) for number in range(5)]
    jobs = []
    for ticket in tickets:
        folder = folder_of(commands.site.folder, ticket.key)
        folder.make()
        place = str(folder.path)
        waits = {"job_state": ["PENDING"], "start_time": number(0), "nodes": "", "priority": number(0)}
        one = job(job_id=int(ticket.native_id), name=ticket.key, current_working_directory=place, **waits)
        jobs += json.loads(one)["jobs"]
    (commands.folder / "queue.json").write_text(json.dumps({"jobs": jobs, "errors": []}))
    commands.play("squeue", f"cat {commands.folder}/queue.json")
    for name in ("scontrol", "scancel"):
        commands.play(name, f'echo "$@" >> {commands.folder}/{name}.asked')

    commands.slurm.withdraw(tickets)

    assert (commands.folder / "scontrol.asked").read_text() == "hold 100,101\nhold 102,103\nhold 104\n"
    assert (commands.folder / "scancel.asked").read_text() == "--state=PENDING 100 101 102 103 104\n"


def test_a_job_that_may_arrive_late_is_not_said_to_be_stopped_while_a_full_disk_takes_no_claim(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(commands.site.folder, "rainbow-1-1")
    folder.make()
    commands.play("scancel", f'echo "$@" >> {commands.folder}/scancel.asked')
    tickets = [Ticket(key="rainbow-1-1", native_id=""), Ticket(key="rainbow-2-1", native_id="8")]

    with monkeypatch.context() as full:
        full.setattr(Records, "write_once", refuse_for_want_of_space)
        with pytest.raises(MayStart, match="rainbow-1-1"):
            commands.slurm.cancel(tickets)
    commands.slurm.cancel(tickets)

    assert (commands.folder / "scancel.asked").read_text() == "8\n8\n", "whatever the disk takes"
    assert folder.started.read_text().startswith("withdrawn ")


def test_without_accounts_nobody_waits_for_them(commands: Commands) -> None:
    assert commands.slurm.find(["rainbow-1-1"]) == {}
    assert commands.pauses == []


@pytest.mark.parametrize(
    ("words", "status", "kind", "message"),
    [
        ("sbatch: error: Batch job submission failed: Socket timed out", 1, SchedulerSilent, "Socket timed out"),
        ("sbatch: error: QOSMaxSubmitJobsPerUserLimit", 1, NotTaken, "takes no jobs now"),
        ("sbatch: error: Invalid account", 1, WorkRefused, "Slurm refused: Invalid account"),
        ("", 137, SchedulerSilent, "ended with status 137"),
        ("sudo: a password is required", 1, WorkRefused, "may not hand it over: .*a password is required"),
        ("Sorry, user me is not allowed to execute 'sbatch'", 1, WorkRefused, "may not hand it over: .*Sorry, user me"),
    ],
)
def test_a_warning_of_sudo_is_no_refusal(
    commands: Commands, words: str, status: int, kind: type[Exception], message: str
) -> None:
    """The job may have been submitted, and would run although it is said to be refused."""
    complaint = f"sudo: unable to resolve host login1: Name or service not known\n{words}"
    commands.play("sbatch", f'echo "{complaint}" >&2; exit {status}')

    with pytest.raises(kind, match=message):
        commands.slurm.submit(Work(command="true"), "rainbow-1-1")


@pytest.mark.parametrize("word", ["timeout", "maxsubmitjobs", "could not resolve"])
def test_what_a_job_says_does_not_pass_for_slurms_own_words(commands: Commands, word: str) -> None:
    """A submitter could keep the agent asking for ever."""
    words = f"invalid partition specified: {word}\nsbatch: error: Batch job submission failed: Invalid partition name"
    commands.play("sbatch", f'echo "sbatch: error: {words}" >&2; exit 1')

    with pytest.raises(WorkRefused, match="Invalid partition name"):
        commands.slurm.submit(Work(command="true", partition=word), "rainbow-1-1")


def test_slurms_own_words_count_although_a_job_says_them_too(commands: Commands) -> None:
    words = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
    commands.play("sbatch", f'echo "sbatch: error: {words}" >&2; exit 1')

    with pytest.raises(SchedulerSilent, match="Unable to contact"):
        commands.slurm.submit(Work(command="true", partition="slurm"), "rainbow-1-1")


def test_sbatch_is_called_without_the_agents_environment(commands: Commands) -> None:
    commands.play(
        "sbatch", f'printf "%s\\n" "$@" > {commands.folder}/words; env > {commands.folder}/seen; echo "7;alpha"'
    )
    commands.site.folder.mkdir()

    native_id = commands.slurm.submit(Work(command="true", nodes=3, tasks=2, time_limit_seconds=61), "rainbow-1-1")

    words = (commands.folder / "words").read_text().splitlines()
    assert native_id == "7"
    assert {"--export=ALL", "--time=2", "--nodes=3", "--ntasks=3", "--job-name=rainbow-1-1", "--no-requeue"} <= set(
        words
    )
    assert "RAINBOW" not in (commands.folder / "seen").read_text()


def test_a_credential_of_slurms_own_is_not_stored_with_the_job(commands: Commands) -> None:
    commands.play("sbatch", f'printf "%s\\n" "$@" > {commands.folder}/words; echo "7;alpha"')
    commands.site.folder.mkdir()
    site = replace(commands.site, environment={**commands.site.environment, "SLURM_JWT": "secret"})

    SlurmExecutor(site).submit(Work(command="true"), "rainbow-1-1")

    assert "--export=NIL" in (commands.folder / "words").read_text().splitlines()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("Batch job submission failed: Unable to contact slurm controller (connect failure)", SchedulerSilent),
        ("Batch job submission failed: Socket timed out on send/recv operation", SchedulerSilent),
        ("Batch job submission failed: Required partition not available (inactive or drain)", SchedulerSilent),
        ("QOSMaxSubmitJobPerUserLimit", SchedulerSilent),
        ("Batch job submission failed: Requested node configuration is not available", WorkRefused),
        ("Batch job submission failed: Invalid account or account/partition combination specified", WorkRefused),
    ],
)
def test_a_refusal_is_told_from_silence(commands: Commands, words: str, error: type[Exception]) -> None:
    commands.play("sbatch", f"echo 'sbatch: error: {words}' >&2; exit 1")

    with pytest.raises(error, match=words.split("(")[0].strip()):
        commands.slurm.submit(Work(command="true"), "rainbow-1-1")


def test_a_submission_that_was_killed_is_no_refusal(commands: Commands) -> None:
    commands.play("sbatch", "kill -9 $$")

    with pytest.raises(SchedulerSilent, match="sbatch ended with status -9"):
        commands.slurm.submit(Work(command="true"), "rainbow-1-1")


def test_a_submission_without_an_id_is_neither_success_nor_failure(commands: Commands) -> None:
    commands.play("sbatch", "exit 0")

    with pytest.raises(SchedulerSilent, match="sbatch said something"):
        commands.slurm.submit(Work(command="true"), "rainbow-1-1")


def test_an_id_that_is_none_is_no_option(commands: Commands) -> None:
    commands.play("scancel", f'echo "$@" >> {commands.folder}/asked')
    tickets = [Ticket(key=f"rainbow-{i}-1", native_id=native) for i, native in enumerate(["7", "", "--me"])]

    seen = commands.slurm.watch(tickets)
    commands.slurm.cancel(tickets)
    commands.slurm.cancel(tickets[1:])

    assert {one.phase for one in seen.values()} == {JobPhase.GONE}
    assert (commands.folder / "asked").read_text().splitlines() == ["7"]


@pytest.mark.parametrize("options", [("--partition=debug",), ("-p", "debug"), ("-pdebug",), ("--partition", "debug")])
def test_free_is_what_the_chosen_partition_has(commands: Commands, options: tuple[str, ...]) -> None:
    commands.play("sinfo", f'printf "%s\n" "$@" > {commands.folder}/words; echo "n0|debug|up|idle|0/4/0/4"')

    seen = SlurmExecutor(replace(commands.site, options=options)).capacity()

    assert (seen.nodes, seen.not_ready) == (1, "")
    assert "--partition=debug" in (commands.folder / "words").read_text().splitlines()


def test_nobody_looks_while_a_submission_is_under_way(tmp_path: Path) -> None:
    with submitting(tmp_path) as lock:
        orphan = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock])

    with pytest.raises(SchedulerSilent, match="under way"):
        all_submitted(tmp_path, timeout_seconds=0.1)
    orphan.communicate()
    all_submitted(tmp_path, timeout_seconds=0.1)


@pytest.mark.parametrize(
    ("lines", "chosen", "nodes", "slots", "not_ready"),
    [
        ("n0|debug*|up|idle|0/4/0/4\nn0|long|up|idle|0/4/0/4", False, 1, 4, ""),
        ("n0|debug*|up|mixed|1/3/0/4\nn1|debug*|up|idle~|0/4/0/4", False, 2, 7, ""),
        ("n0|debug*|up|allocated|4/0/0/4\nn1|debug*|up|idle*|0/4/0/4", False, 0, 0, ""),
        ("n0|long|up|idle|0/4/0/4", True, 1, 4, ""),
        ("n0|debug*|up|drained|0/0/4/4", False, 0, 0, "no node is in service: 1 drained"),
        ("n0|debug*|down|idle|0/4/0/4", False, 0, 0, "no node is in service: 1 in a partition that is not up"),
        ("n0|long|up|idle|0/4/0/4", False, 0, 0, "Slurm has no default partition"),
        ("", True, 0, 0, "Slurm has no such partition"),
    ],
)  # fmt: skip
def test_free_nodes_are_counted(lines: str, chosen: bool, nodes: int, slots: int, not_ready: str) -> None:
    seen = free(lines, chosen=chosen)

    assert (seen.nodes, seen.slots, seen.not_ready) == (nodes, slots, not_ready)
