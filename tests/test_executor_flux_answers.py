"""What the Flux executor makes of answers, most of which a real Flux gave."""

import errno
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow.executors.commands import all_submitted
from rainbow.executors.executor import Access, Ending, JobPhase, MayStart, SchedulerSilent, Site, Ticket, WorkRefused
from rainbow.executors.flux import FluxExecutor
from rainbow.executors.flux_bindings import BindingsMissing, FluxBindings, find
from rainbow.executors.flux_command import FluxCommand
from rainbow.executors.flux_jobs import from_flux
from rainbow.executors.flux_queues import FluxQueue, capacity
from rainbow.executors.flux_refusals import failure
from rainbow.executors.flux_request import FluxRequest
from rainbow.executors.flux_script import script
from rainbow.executors.folders import Records, folder_of
from rainbow.executors.options import value_of
from rainbow.executors.table import EXECUTORS
from rainbow.executors.timed_calls import TimedCalls
from rainbow.specs import Work
from tests.support.patience import PATIENCE_SECONDS

LOST = "node failure on n3 (rank 3)"
NODE_FAILURE = {"severity": 0, "type": "exec", "note": LOST}
LOST_SHELL = {"severity": 2, "type": "node-failure", "note": LOST}
START_FAILED = {"severity": 0, "type": "exec", "note": "task 0 (host n1): start failed: x: No such file or directory"}
ACCESS = Access(description="")


def executor(folder: Path, script: str) -> FluxExecutor:
    """By a `flux` that is this shell script."""
    (folder / "flux").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "flux").chmod(0o700)
    site = Site(folder=folder / "state", environment={"PATH": f"{folder}:/usr/bin:/bin", "HOME": "/"})
    return FluxExecutor(site, FluxCommand(site), access=ACCESS)


def test_a_job_that_may_arrive_late_is_not_said_to_be_stopped_while_a_full_disk_takes_no_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    flux = executor(tmp_path, "exit 0")
    monkeypatch.setattr(Records, "write_once", refuse)

    with pytest.raises(MayStart, match="rainbow-1-1"):
        flux.cancel([Ticket(key="rainbow-1-1", native_id="")])


@pytest.mark.parametrize(
    ("job", "ending", "code", "reason"),
    [
        ({"result": "FAILED", "waitstatus": 1792}, Ending.EXITED, 7, "ended with exit code 7"),
        ({"result": "COMPLETED", "waitstatus": 0}, Ending.EXITED, 0, ""),
        ({"result": "CANCELED", "waitstatus": 36608}, Ending.CANCELLED, None, "cancelled"),
        ({"result": "TIMEOUT", "waitstatus": 36352}, Ending.TIMED_OUT, None, "reached its time limit"),
        ({"result": "FAILED", "waitstatus": 32512, "exception": START_FAILED}, "exited", 127, START_FAILED["note"]),
        ({"result": "FAILED", "exception": {"type": "alloc", "note": "too many"}}, Ending.FAILED, None, "too many"),
        ({"result": "FAILED", "waitstatus": 36608, "exception": NODE_FAILURE}, "node_failed", None, LOST),
        ({"result": "FAILED", "waitstatus": 256, "exception": NODE_FAILURE}, "node_failed", None, LOST),
        ({"result": "FAILED", "waitstatus": 256, "exception": LOST_SHELL}, "node_failed", None, LOST),
        ({"result": "COMPLETED", "waitstatus": 0, "exception": LOST_SHELL}, "exited", 0, LOST),
        (
            {"result": "FAILED", "waitstatus": 36608, "exception": {"severity": 0, "type": "scheduler-restart"}},
            Ending.FAILED,
            None,
            "scheduler-restart",
        ),
    ],
)  # fmt: skip
def test_the_recorded_ends_are_understood(job: dict[str, Any], ending: Ending, code: int | None, reason: str) -> None:
    seen = from_flux({"jobid": "\u0192219nq7V", "state": "INACTIVE", **job}).progress

    assert (seen.phase, seen.ending, seen.exit_code, seen.signal, seen.reason) == (
        JobPhase.ENDED,
        ending,
        code,
        None,
        reason,
    )


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({"state": "DEPEND", "dependencies": ["after-success=\u0192m"]}, "depends on after-success=\u0192m"),
        ({"state": "PRIORITY"}, "Flux is still to give it a priority"),
        ({"state": "SCHED", "priority": 0, "urgency": 0}, "held in Flux: its priority is 0"),
        ({"state": "SCHED", "priority": 16, "annotations": {}}, "waits in Flux for its turn and for resources"),
        (
            {"annotations": {"sched": {"reason_pending": "insufficient resources", "jobs_ahead": 3}}},
            "insufficient resources; jobs ahead of it: 3",
        ),
        ({"annotations": {"sched": {"t_estimate": 1795804531.7}}}, "to start about 2026-11-27 18:35 UTC"),
    ],
)
def test_why_a_job_waits_is_told(job: dict[str, Any], reason: str) -> None:
    seen = from_flux({"jobid": "f1", "state": "SCHED", "priority": 16, "dependencies": [], **job}).progress

    assert (seen.phase, seen.reason) == (JobPhase.PENDING, reason)


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ("[Errno 22] job submission is disabled: noon", SchedulerSilent, "takes no jobs now: job submission is"),
        ("[Errno 22] job submission to debug is disabled: noon", SchedulerSilent, "takes no jobs now"),
        ("[Errno 22] user has max active jobs", SchedulerSilent, "takes no jobs now"),
        ("[Errno 38] No service matching job-ingest.submit is registered", SchedulerSilent, "flux submit: No service"),
        ("flux-submit: ERROR: Unable to connect to Flux: broker socket /x was not found", SchedulerSilent, "broker"),
        ("[Errno 1] Invalid queue 'nope' specified", WorkRefused, "Flux refused: Invalid queue 'nope' specified"),
        ("flux submit: error: unrecognized arguments: --bad", WorkRefused, "unrecognized arguments"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_from_a_closed_queue_and_from_silence(words: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        raise failure(words)


def test_a_submission_that_was_killed_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(SchedulerSilent, match="ended with status -9"):
        executor(tmp_path, "kill -9 $$").submit(Work(command="true"), "rainbow-1-1")


def test_a_submission_without_an_id_is_neither_success_nor_failure(tmp_path: Path) -> None:
    """A broker that was killed in the middle of it: the command succeeded, and said nothing."""
    with pytest.raises(SchedulerSilent, match="flux submit said something that rainbow does not understand: ''"):
        executor(tmp_path, "exit 0").submit(Work(command="true"), "rainbow-1-1")


def test_an_id_that_is_none_spoils_no_question_and_is_no_option(tmp_path: Path) -> None:
    flux = executor(tmp_path, f"""echo "$@" >> {tmp_path}/asked; echo '{{"jobid": "f1", "state": "RUN"}}'""")
    tickets = [Ticket(key=f"rainbow-{i}-1", native_id=native) for i, native in enumerate(["f1", "", "--all", "1"])]

    seen = flux.watch(tickets)
    flux.cancel(tickets)
    flux.cancel(tickets[1:])

    assert [seen[ticket.key].phase for ticket in tickets] == ["running", "gone", "gone", "gone"]
    assert (tmp_path / "asked").read_text().splitlines() == ["jobs --count=0 --json f1", "cancel f1"]


def test_jobs_that_gave_no_answer_are_left_open(tmp_path: Path) -> None:
    flux = executor(
        tmp_path,
        """echo '{"jobs": [{"jobid": "ƒ1", "state": "RUN", "t_run": 1795804531}]}'
echo 'flux-jobs: WARNING: Filtering options ignored with jobid list' >&2
echo 'rpc: Connection timed out' >&2
echo 'JobID f3 unknown' >&2""",
    )

    seen = flux.watch([Ticket(key=f"rainbow-{number}-1", native_id=f"f{number}") for number in (1, 2, 3)])

    assert {key: one.phase for key, one in seen.items()} == {"rainbow-1-1": "running", "rainbow-3-1": "gone"}


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": [{}]}', "none"])
def test_an_answer_without_sense_says_nothing_about_jobs(tmp_path: Path, text: str) -> None:
    with pytest.raises(SchedulerSilent, match="flux jobs"):
        executor(tmp_path, f"echo '{text}'").watch([Ticket(key="rainbow-1-1", native_id="f1")])


def test_what_flux_says_of_each_job_is_told_once(tmp_path: Path) -> None:
    flux = executor(
        tmp_path, "printf 'flux-jobs: WARNING: Filtering options ignored\\nrpc: lost\\nrpc: lost\\n' >&2; exit 1"
    )

    with pytest.raises(SchedulerSilent, match=r"^flux jobs: rpc: lost$"):
        flux.watch([Ticket(key=f"rainbow-{number}-1", native_id=f"f{number}") for number in (1, 2)])


def queue(name: str, **more: Any) -> FluxQueue:
    usual = {"is_default": False, "enabled": True, "started": True, "up_nodes": 4, "down_nodes": 0}
    return FluxQueue(name=name, **{**usual, "free_nodes": 3, "free_cores": 6, **more})


@pytest.mark.parametrize(
    ("queues", "chosen", "nodes", "not_ready"),
    [
        ([queue("")], "", 3, ""),
        ([queue("debug"), queue("batch", is_default=True, free_nodes=2)], "", 2, ""),
        ([queue("debug"), queue("batch", is_default=True, free_nodes=2)], "debug", 3, ""),
        ([queue("debug"), queue("batch")], "", 0, "Flux has no default queue"),
        ([queue("")], "debug", 0, "Flux has no queue debug"),
        ([queue("", enabled=False)], "", 0, "why  is closed"),
        ([queue("debug", started=False)], "debug", 0, "why debug is closed"),
        ([queue("", up_nodes=0, down_nodes=4)], "", 0, "no node is up: 4 down"),
    ],
)
def test_what_is_free_is_that_of_the_queue(queues: Any, chosen: str, nodes: int, not_ready: str) -> None:
    seen = capacity(queues, chosen=chosen, status=lambda name: f"why {name} is closed")

    assert (seen.nodes, seen.slots, seen.not_ready) == (nodes, 6 if nodes else 0, not_ready)


def test_named_queues_are_listed_with_their_states(tmp_path: Path) -> None:
    flux = executor(
        tmp_path, 'if [ $2 = list ]; then printf "batch*|✔|✗|4|0|4|8\\ndebug|y|n|4|0|4|8\\n"; else cat state; fi'
    )
    (tmp_path / "flux").write_text((tmp_path / "flux").read_text().replace("cat state", f"cat {tmp_path}/state"))
    (tmp_path / "state").write_text("batch: Job submission is enabled\nbatch: Scheduling is stopped: lunch\n")

    assert flux.capacity().not_ready == "Scheduling is stopped: lunch"


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ((), ""),
        (("--queue=debug",), "debug"),
        (("-q", "debug"), "debug"),
        (("-qdebug", "-x"), "debug"),
        (("--queue", "debug", "--queue=batch"), "batch"),
        (("--requires=rank:2", "-q"), ""),
    ],
)
def test_an_option_is_found_however_it_is_written(options: tuple[str, ...], value: str) -> None:
    assert value_of(options, "-q", "--queue") == value


def test_without_flux_nothing_answers(tmp_path: Path) -> None:
    site = Site(folder=tmp_path, environment={"PATH": str(tmp_path)})

    with pytest.raises(SchedulerSilent, match="flux cannot be started"):
        FluxExecutor(site, FluxCommand(site), access=ACCESS).capacity()


def test_what_keeps_the_bindings_from_serving_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where `ply` or `cffi` is missing, which are not Flux's own."""
    (tmp_path / "flux").mkdir()
    (tmp_path / "flux" / "__init__.py").write_text("import cffi_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "flux", raising=False)

    access = EXECUTORS["flux"].make(Site(folder=tmp_path, environment={})).access

    assert access.description.endswith("no bindings of Flux: No module named 'cffi_that_is_not_there'")
    assert "PYTHONPATH" in access.advice


def test_another_package_of_that_name_is_not_flux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flux", SimpleNamespace(__name__="flux", __file__="/site/flux.py"))

    with pytest.raises(BindingsMissing, match=r"/site/flux\.py"):
        find()


def test_one_answer_that_fails_leaves_only_its_job_open(tmp_path: Path) -> None:
    def ask(handle: Any, native_id: str) -> Any:
        def job_info() -> Any:
            if native_id == "f1":
                raise TimeoutError(110, "Connection timed out")
            raise FileNotFoundError(2, "No such file or directory")

        return SimpleNamespace(get_jobinfo=job_info)

    flux = SimpleNamespace(Flux=lambda: None, job=SimpleNamespace(JobID=str, job_list_id=ask))
    site = Site(folder=tmp_path, environment={})
    tickets = [Ticket(key=f"rainbow-{number}-1", native_id=f"f{number}") for number in (1, 2)]

    seen = FluxExecutor(site, FluxBindings(flux, site), access=ACCESS).watch(tickets)

    assert {key: one.phase for key, one in seen.items()} == {"rainbow-2-1": JobPhase.GONE}


def test_the_fake_is_a_command_of_its_own() -> None:
    fake = Path(__file__).with_name("support") / "fake_flux.py"

    done = subprocess.run([fake, "jobs"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)

    assert "Unable to connect to Flux: broker socket" in done.stderr


def test_the_script_of_a_job_never_changes_under_its_reader(tmp_path: Path) -> None:
    """A submission that was repeated once emptied the script that tasks of the first job were about to read."""
    flux = executor(tmp_path, "echo f1")
    flux.submit(Work(command="true"), "rainbow-1-1")
    file = tmp_path / "state" / "jobs" / "rainbow-1-1" / "script"
    with file.open() as reader:
        before = file.stat().st_ino
        flux.submit(Work(command="true"), "rainbow-1-1")
        same = file.stat().st_ino
        flux.submit(Work(command="false"), "rainbow-1-1")
        read = reader.read()

    assert same == before
    assert read.endswith("exec /bin/sh -c true\n")
    assert file.read_text().endswith("exec /bin/sh -c false\n")


@pytest.mark.parametrize(
    ("claim", "later", "ran"),
    [
        (None, None, True),
        ("f9 1795804531 0\n", None, True),
        ("f8 1795804531 0\n", None, False),
        ("", "f9 1795804531 0\n", True),
        ("f", "f8 1795804531 0\n", False),
    ],
)
def test_a_task_runs_the_command_where_its_own_job_has_the_claim(
    tmp_path: Path, claim: str | None, later: str | None, ran: bool
) -> None:
    """Another task may just have made the claim, and not written it yet."""
    folder = folder_of(tmp_path, "rainbow-1-1")
    folder.make()
    if claim is not None:
        folder.started.write_text(claim)
    (folder.path / "script").write_text(
        script(Work(command="echo ran"), folder, Site(folder=tmp_path, environment={"HOME": "/"}))
    )
    environment = {"FLUX_JOB_ID": "\u01929", "FLUX_TASK_RANK": "1", "PATH": "/usr/bin:/bin"}

    task = subprocess.Popen(["/bin/sh", folder.path / "script"], env=environment, stdout=subprocess.PIPE)
    if later is not None:
        with pytest.raises(subprocess.TimeoutExpired):
            task.wait(1)
        folder.started.write_text(later)
    output, _ = task.communicate(timeout=PATIENCE_SECONDS)

    assert (output, task.returncode) == ((b"ran\n", 0) if ran else (b"", 1))


def test_a_submission_that_still_waits_for_its_connection_is_under_way(tmp_path: Path) -> None:
    answers = threading.Event()
    site = Site(folder=tmp_path, environment={})
    bindings = FluxBindings(SimpleNamespace(Flux=lambda: answers.wait(600)), site)
    bindings._threads = TimedCalls("Flux", timeout_seconds=0.1)
    request = FluxRequest(name="", script="", folder="", output="", errors="", resources=[], environment={})

    with pytest.raises(SchedulerSilent, match="did not answer"):
        bindings.submit(request)
    with pytest.raises(SchedulerSilent, match="still under way"):
        all_submitted(tmp_path, timeout_seconds=0.1)
    answers.set()

    all_submitted(tmp_path)
