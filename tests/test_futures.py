"""rainbow.RainbowExecutor, with a server and an agent of this machine: functions and commands as jobs."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, as_completed, wait
from pathlib import Path
from typing import Any

import pytest

import rainbow
from rainbow.client import Client
from rainbow.errors import InvalidArgument, Unauthenticated
from rainbow.futures.dispatcher import MOST_READ
from rainbow.futures.failures import JobFailed, RemoteError
from rainbow.futures.future import JobFuture
from rainbow.records import JobState
from tests.support.agents import Crew, crew
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import joined
from tests.support.wishes import at_work

# Without the packages that are installed here: a cluster needs none.
BARE_PYTHON = f"{sys.executable} -I -S"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def agent(server: RainbowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    folder = tmp_path_factory.mktemp("agent")
    with joined(server) as remote, crew(remote, server.address, folder) as made, at_work(made):
        yield made


Hired = Callable[..., rainbow.RainbowExecutor]


@pytest.fixture(scope="module")
def executors(agent: Crew, server: RainbowServer) -> Iterator[Hired]:
    made = list[rainbow.RainbowExecutor]()

    def make(**options: Any) -> rainbow.RainbowExecutor:
        known = agent.client
        connection = {"cluster": known.cluster, "token": known._token, "timeout_seconds": PATIENCE_SECONDS}
        made.append(rainbow.RainbowExecutor(server.address, **{"python": BARE_PYTHON, **connection, **options}))
        return made[-1]

    yield make
    for executor in made:
        executor.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def executor(executors: Hired) -> rainbow.RainbowExecutor:
    return executors()


@pytest.fixture(scope="module")
def trusting(executors: Hired) -> rainbow.RainbowExecutor:
    return executors(trusted=True)


def state_of(client: Client, future: JobFuture[Any]) -> JobState:
    return client.get_jobs([future.jobid]).jobs[0].state


def test_functions_run_at_the_cluster_and_their_results_come_back(executor: rainbow.RainbowExecutor) -> None:
    factor = 3

    def times(number: int, *, plus: int = 0) -> dict[str, list[int]]:
        return {"pid": [os.getpid()], "result": [number * factor + plus]}

    futures = [executor.submit(times, number, plus=1) for number in range(3)]
    results = [future.result(PATIENCE_SECONDS) for future in as_completed(futures)]

    assert sorted(result["result"][0] for result in results) == [1, 4, 7]
    assert os.getpid() not in [result["pid"][0] for result in results]
    assert wait(futures).not_done == set()
    assert [thread.name for thread in threading.enumerate()].count("rainbow-futures") == 1


def test_an_exception_has_its_traceback_at_the_cluster(executor: rainbow.RainbowExecutor, agent: Crew) -> None:
    def divide_all(numbers: list[int]) -> list[float]:
        return [1 / number for number in numbers]

    future = executor.submit(divide_all, [1, 0])
    error = future.exception(PATIENCE_SECONDS)

    assert isinstance(error, ZeroDivisionError)
    assert "in divide_all" in str(error.__cause__)
    assert agent.job(future.jobid).exit_code == 1


def test_a_function_that_ends_an_iteration_raises_what_it_raised(executor: rainbow.RainbowExecutor) -> None:
    def first_of_none() -> None:
        next(iter(()))

    error = executor.submit(first_of_none).exception(PATIENCE_SECONDS)

    assert isinstance(error, StopIteration)
    assert "in first_of_none" in str(error.__cause__)


def test_an_exception_of_ones_own_is_itself_only_for_those_who_trust(
    executor: rainbow.RainbowExecutor, trusting: rainbow.RainbowExecutor
) -> None:
    class NoSolution(Exception):
        pass

    def solve() -> None:
        raise NoSolution("at 40 bar", {"pressure": 40})

    told, came = (chosen.submit(solve).exception(PATIENCE_SECONDS) for chosen in (executor, trusting))

    assert isinstance(told, RemoteError)
    assert told.kind == "NoSolution"
    assert isinstance(came, NoSolution)
    assert came.args == ("at 40 bar", {"pressure": 40})


def test_only_those_who_trust_get_more_than_plain_data(
    executor: rainbow.RainbowExecutor, trusting: rainbow.RainbowExecutor
) -> None:
    def path() -> Path:
        return Path("results/a.csv")

    with pytest.raises(RemoteError, match="trusted=True"):
        executor.submit(path).result(PATIENCE_SECONDS)
    assert trusting.submit(path).result(PATIENCE_SECONDS) == Path("results/a.csv")


def test_a_map_is_one_group_and_its_results_are_in_order(executor: rainbow.RainbowExecutor, agent: Crew) -> None:
    def add(left: int, right: int) -> int:
        return left + right

    assert list(executor.map(add, range(7), range(10, 17), chunksize=3)) == [10, 12, 14, 16, 18, 20, 22]

    newest = next(agent.client.list_groups())
    assert newest.name.endswith("add")
    assert (newest.members, newest.open) == (3, False)
    assert list(executor.map(add, [], [])) == []


def test_large_arguments_travel_as_files_and_too_large_ones_not_at_all(trusting: rainbow.RainbowExecutor) -> None:
    content = os.urandom(MIB)

    def turned(data: bytes) -> bytes:
        return data[::-1]

    assert trusting.submit(turned, content).result(PATIENCE_SECONDS) == content[::-1]
    with pytest.raises(InvalidArgument, match="at most"):
        trusting.submit(turned, bytes(4 * MIB))


def test_a_result_is_no_larger_than_allowed(executors: Hired) -> None:
    with (
        executors(trusted=True, most_result_bytes=1000) as executor,
        pytest.raises(ValueError, match="the most is 1,000"),
    ):
        executor.submit(lambda: bytes(2000)).result(PATIENCE_SECONDS)


def test_a_job_that_runs_is_cancelled(executor: rainbow.RainbowExecutor, agent: Crew) -> None:
    def sleep() -> None:
        time.sleep(10 * PATIENCE_SECONDS)

    future = executor.submit(sleep)
    wait_until(future.running)

    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()
    assert wait([future], PATIENCE_SECONDS).done == {future}
    wait_until(lambda: state_of(agent.client, future) == JobState.CANCELLED)


def test_a_job_that_others_cancel_is_a_cancelled_future(executor: rainbow.RainbowExecutor, agent: Crew) -> None:
    future = executor.submit_command("sleep 3600")
    wait_until(future.running)

    agent.client.cancel_jobs([future.jobid])

    with pytest.raises(CancelledError):
        future.result(PATIENCE_SECONDS)


def test_commands_are_lines_or_words(executor: rainbow.RainbowExecutor) -> None:
    line = executor.submit_command("echo $GREETING", environment={"GREETING": "hello"}, name="greet")
    words = executor.submit_command(["echo", "$GREETING"])
    failing = executor.submit_command("echo no solution >&2; exit 75")

    assert line.result(PATIENCE_SECONDS).output == "hello\n"
    assert line.result().name == "greet"
    assert words.result(PATIENCE_SECONDS).output == "$GREETING\n"
    with pytest.raises(JobFailed, match="no solution") as failed:
        failing.result(PATIENCE_SECONDS)
    assert failed.value.job.exit_code == 75


def test_a_job_that_is_killed_fails_its_future(executor: rainbow.RainbowExecutor) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(JobFailed) as failed:
        executor.submit(die).result(PATIENCE_SECONDS)
    assert failed.value.job.state == JobState.FAILED


def test_another_python_is_refused_in_so_many_words(executors: Hired) -> None:
    with (
        executors(python=f"env RAINBOW_CALL_PYTHON=3.2 {sys.executable}") as executor,
        pytest.raises(RemoteError, match=r"was pickled by 3\.2"),
    ):
        executor.submit(abs, -1).result(PATIENCE_SECONDS)


def test_fields_of_every_job_are_said_once(executors: Hired, agent: Crew) -> None:
    with executors(job={"labels": {"study": "a"}, "environment": {"DEPTH": "3"}}) as executor:
        future = executor.submit(lambda: os.environ["DEPTH"])

        assert future.result(PATIENCE_SECONDS) == "3"
        assert agent.job(future.jobid).labels == {"study": "a"}
    with pytest.raises(InvalidArgument, match="no field comand"):
        executors(job={"comand": "true"})
    with pytest.raises(InvalidArgument, match="time_limit_seconds"):
        executors(job={"time_limit_seconds": -1})


def test_a_shutdown_waits_and_takes_no_more(executors: Hired) -> None:
    executor = executors()
    future = executor.submit(abs, -1)

    executor.shutdown()

    assert future.done()
    assert future.result() == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)


def test_a_shutdown_cancels_what_has_not_started(executors: Hired, agent: Crew) -> None:
    executor = executors(job={"tasks": 8})
    first = executor.submit_command("sleep 3600")
    wait_until(first.running)
    second = executor.submit_command("true")

    executor.shutdown(wait=False, cancel_futures=True)

    assert second.cancelled()
    assert not first.cancelled()
    first.cancel()
    executor.shutdown()
    wait_until(lambda: state_of(agent.client, first) == JobState.CANCELLED)


def test_futures_fail_as_the_server_says(executors: Hired) -> None:
    with executors(token="wrong") as executor, pytest.raises(Unauthenticated):
        executor.submit(abs, -1).result(PATIENCE_SECONDS)


def test_calls_that_leave_no_result_fail_and_hold_up_no_others(executors: Hired) -> None:
    executor = executors()
    silent = [executor.submit(os._exit, 0) for _ in range(MOST_READ)]

    assert executor.submit(abs, -1).result(PATIENCE_SECONDS) == 1
    for future in silent:
        with pytest.raises(RemoteError, match="completed without a result: its Python ended"):
            future.result(PATIENCE_SECONDS)


def test_python_may_be_found_by_a_function_of_the_shell(executors: Hired) -> None:
    executor = executors(python=f"module() {{ PATH=$2; }}; module load /nowhere; {BARE_PYTHON}")

    assert executor.submit(abs, -1).result(PATIENCE_SECONDS) == 1
