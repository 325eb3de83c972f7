"""The Flux executor against a fake `flux` that answers as a real one did, and the real one where it is on PATH."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rainbow.executors import EXECUTORS, Ending, Executor, JobPhase, SchedulerSilent, Site, Ticket, Work, WorkRefused
from rainbow.executors.flux import FluxExecutor
from rainbow.executors.flux_bindings import FluxBindings
from rainbow.executors.flux_command import FluxCommand
from rainbow.executors.flux_jobs import from_flux
from tests.executors import hand_over, lines_of, progress, wait_for, wait_until

FAKE = Path(__file__).with_name("fake_flux.py")
CAST = [
    "fake",
    pytest.param(
        "real", marks=[pytest.mark.flux, pytest.mark.skipif(not shutil.which("flux"), reason="flux is not on PATH")]
    ),
]


@pytest.fixture
def fake(tmp_path: Path) -> Site:
    """The site of an agent beside the fake."""
    commands, instance = tmp_path / "bin", tmp_path / "instance"
    commands.mkdir()
    instance.mkdir()
    (commands / "flux").symlink_to(FAKE)
    path = f"{commands}:{os.environ['PATH']}"
    environment = {"PATH": path, "FLUX_URI": str(instance), "RAINBOW_SECRET": "the agent's own", "HOME": str(tmp_path)}
    return Site(folder=tmp_path / "agent's état", environment=environment)


@pytest.fixture(params=CAST)
def flux(request: pytest.FixtureRequest, tmp_path: Path, fake: Site) -> Executor:
    if request.param == "fake":
        return FluxExecutor(fake, FluxCommand(fake))
    return EXECUTORS["flux"](Site(folder=tmp_path / "agent", environment=dict(os.environ)))


def test_a_job_runs_as_it_was_asked_for(flux: Executor, tmp_path: Path) -> None:
    asked = {"GREETING": 'it\'s\n"$HOME" {{id}}'}

    ticket = hand_over(
        flux, "rainbow-1-1", 'printf "%s|" "$GREETING" "$PWD"', environment=asked, working_directory=str(tmp_path)
    )
    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.reason) == (Ending.EXITED, 0, "")
    assert seen.started_at and seen.ended_at and seen.started_at <= seen.ended_at
    assert flux.output(ticket) == f"{asked['GREETING']}|{tmp_path}|"


def test_nothing_of_the_agent_reaches_a_job(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-2-1", "env | cut -d= -f1", environment={"MINE": "1"})
    wait_for(flux, ticket, JobPhase.ENDED)

    names = set(flux.output(ticket).split())

    assert {"MINE", "PATH", "HOME", "USER", "FLUX_JOB_ID"} <= names
    assert "RAINBOW_SECRET" not in names


def test_an_exit_code_is_told(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-3-1", "exit 7")

    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 7)


def test_a_signal_is_told(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-4-1", "kill -9 $$")

    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.signal) == (Ending.SIGNALLED, None, 9)


def test_a_time_limit_ends_the_job(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-5-1", "sleep 300", time_limit_seconds=1)

    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.TIMED_OUT, None)


def test_a_running_job_is_cancelled(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-6-1", "sleep 300")
    wait_for(flux, ticket, JobPhase.RUNNING)

    flux.cancel(ticket)
    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert seen.ending == Ending.CANCELLED
    flux.cancel(ticket)  # once more does no harm


def test_more_nodes_than_exist_fail_with_the_words_of_flux(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-7-1", "true", nodes=99)

    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code, seen.started_at) == (Ending.FAILED, None, None)
    assert "unsatisfiable request" in seen.reason


def test_a_job_that_waits_is_cancelled(flux: Executor) -> None:
    tasks = flux.capacity().slots
    first = hand_over(flux, "rainbow-8-1", "sleep 300", tasks=tasks)
    wait_for(flux, first, JobPhase.RUNNING)
    second = hand_over(flux, "rainbow-9-1", "true", tasks=tasks)

    waiting, capacity = progress(flux, second), flux.capacity()
    flux.cancel(second)
    seen = wait_for(flux, second, JobPhase.ENDED)

    assert waiting.phase == JobPhase.PENDING
    assert (capacity.slots, capacity.not_ready) == (0, "")
    assert (seen.ending, seen.started_at) == (Ending.CANCELLED, None)
    flux.cancel(first)


def test_a_job_is_found_by_its_name(flux: Executor) -> None:
    ticket = hand_over(flux, "rainbow-10-1", "true")

    assert flux.find([ticket.key, "rainbow-11-1"]) == {ticket.key: ticket.native_id}


def test_many_jobs_are_watched_with_one_call(flux: Executor) -> None:
    tickets = [hand_over(flux, f"rainbow-{12 + code}-1", f"exit {code}") for code in range(3)]
    unknown = Ticket(key="rainbow-15-1", native_id="f11")
    for ticket in tickets:
        wait_for(flux, ticket, JobPhase.ENDED)

    seen = flux.watch([*tickets, unknown])

    assert [seen[ticket.key].exit_code for ticket in tickets] == [0, 1, 2]
    assert seen[unknown.key].phase == JobPhase.GONE


def test_another_agents_job_of_the_same_name_is_not_found(fake: Site) -> None:
    hand_over(FluxExecutor(fake, FluxCommand(fake)), "rainbow-16-1", "true")
    stranger = Site(folder=fake.folder / "other", environment=fake.environment)

    assert FluxExecutor(stranger, FluxCommand(stranger)).find(["rainbow-16-1"]) == {}


def test_a_broker_that_is_away_is_neither_success_nor_failure(fake: Site) -> None:
    flux = FluxExecutor(fake, FluxCommand(fake))
    ticket = hand_over(flux, "rainbow-17-1", "true")
    (Path(fake.environment["FLUX_URI"]) / "down").touch()

    for call in (
        flux.capacity,
        lambda: flux.watch([ticket]),
        lambda: flux.find([ticket.key]),
        lambda: flux.cancel(ticket),
        lambda: flux.submit(Work(command="true"), "rainbow-18-1"),
    ):
        with pytest.raises(SchedulerSilent, match="broker socket"):
            call()


def test_what_flux_will_never_take_is_refused_in_its_words(fake: Site) -> None:
    site = Site(folder=fake.folder, environment=fake.environment, options=("--bad-option=1",))

    with pytest.raises(WorkRefused, match="unrecognized arguments: --bad-option"):
        FluxExecutor(site, FluxCommand(site)).submit(Work(command="true"), "rainbow-19-1")


def test_without_flux_nothing_answers(tmp_path: Path) -> None:
    site = Site(folder=tmp_path, environment={"PATH": str(tmp_path)})

    with pytest.raises(SchedulerSilent, match="flux cannot be started"):
        FluxExecutor(site, FluxCommand(site)).capacity()


@pytest.mark.parametrize(
    ("job", "ending", "code", "reason"),
    [
        ({"result": "FAILED", "waitstatus": 1792}, Ending.EXITED, 7, "ended with exit code 7"),
        ({"result": "COMPLETED", "waitstatus": 0}, Ending.EXITED, 0, ""),
        ({"result": "CANCELED", "waitstatus": 36608}, Ending.CANCELLED, None, "cancelled"),
        ({"result": "TIMEOUT", "waitstatus": 36352}, Ending.TIMED_OUT, None, "reached its time limit"),
        (
            {"result": "FAILED", "waitstatus": 32512, "exception": {"type": "exec", "note": "start failed"}},
            Ending.EXITED,
            127,
            "start failed",
        ),
        ({"result": "FAILED", "exception": {"type": "alloc", "note": "too many"}}, Ending.FAILED, None, "too many"),
        ({"result": "FAILED", "exception": {"type": "node-failure", "note": "n1"}}, Ending.NODE_FAILED, None, "n1"),
    ],
)
def test_the_recorded_ends_are_understood(job: dict[str, Any], ending: Ending, code: int | None, reason: str) -> None:
    seen = from_flux({"jobid": "\u0192219nq7V", "state": "INACTIVE", **job}).progress

    assert (seen.phase, seen.ending, seen.exit_code, seen.reason) == (JobPhase.ENDED, ending, code, reason)


def test_the_bindings_serve_as_the_command_does(fake: Site, tmp_path: Path) -> None:
    flux = FluxExecutor(fake, FluxBindings(_bindings(fake), fake))

    ticket = hand_over(flux, "rainbow-20-1", f"echo done > {tmp_path}/done; exit 7", nodes=2)
    wait_until(lambda: lines_of(tmp_path / "done"))
    seen = wait_for(flux, ticket, JobPhase.ENDED)

    assert (seen.ending, seen.exit_code) == (Ending.EXITED, 7)
    assert (flux.capacity().nodes, flux.capacity().slots) == (2, 4)
    assert flux.find([ticket.key, "rainbow-21-1"]) == {ticket.key: ticket.native_id}
    flux.cancel(ticket)


def _bindings(site: Site) -> Any:
    """Bindings of the shape that flux-core documents, which speak to the fake."""
    door = FluxCommand(site)

    class Spec(SimpleNamespace):
        def setattr(self, name: str, value: str) -> None:
            assert name == "system.job.name"
            self.name = value

    def submit(handle: str, spec: Spec) -> str:
        environment = {**site.environment, **spec.environment}
        words = [
            f"--job-name={spec.name}",
            f"--nodes={spec.num_nodes}",
            f"--ntasks={spec.num_tasks}",
            f"--cwd={spec.cwd}",
        ]
        return door._answered(
            "submit", *words, f"--output={spec.stdout}", *map("--env={}".format, environment), *spec.command
        ).text

    def jobs(handle: str, ids: Any = (), name: str = "", **_: Any) -> Any:
        content = json.loads(door._ask("jobs", "-a", "--json", *ids, *([f"--name={name}"] if name else [])).text)
        found = [SimpleNamespace(to_dict=lambda job=job: job) for job in content.get("jobs", [content])]
        return SimpleNamespace(jobs=lambda: found)

    def cancel(handle: str, native_id: str) -> None:
        raise OSError(22, "job is inactive")

    class JobID(str):
        @property
        def f58(self) -> str:
            return self.strip()

    sets = {"free": (2, 4), "allocated": (0, 0), "down": (0, 0)}
    listed = SimpleNamespace(**{state: SimpleNamespace(nnodes=n, ncores=c) for state, (n, c) in sets.items()})
    return SimpleNamespace(
        Flux=lambda uri: uri,
        resource=SimpleNamespace(resource_list=lambda handle: SimpleNamespace(get=lambda: listed)),
        job=SimpleNamespace(
            JobspecV1=SimpleNamespace(from_command=lambda command, **more: Spec(command=command, **more)),
            JobID=JobID,
            JobList=jobs,
            submit=submit,
            cancel=cancel,
        ),
    )
