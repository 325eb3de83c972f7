"""Waiting for groups of jobs: rainbow submit --wait, rainbow wait, and watch_group of the clients."""

import asyncio
import re
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import grpc
import pytest
from click.testing import CliRunner

import rainbow as package
from rainbow import answers
from rainbow.cli import main
from rainbow.client import Client
from rainbow.errors import NotFound, Unavailable
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import GroupWish, JobSpec, JobState
from rainbow.terminal import group_news, group_wait
from rainbow.terminal.group_news import GroupNews
from rainbow.terminal.group_wait import MOST_FAILURES, wait_for_group
from tests.support.agents import Crew, crew
from tests.support.commandline import MAIN, Begin, Run, answer
from tests.support.executors import until_there
from tests.support.job_files import JobsFile
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.rehearsed import Clock, Rehearse, rehearsed_server
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.support.wishes import at_work


def group_of(number: int, *, at: datetime | None = None, **counts: int) -> pb.GetGroupResponse:
    states = {name: pb.JobState.Value(f"JOB_STATE_{name.upper()}") for name in counts}
    group = pb.JobGroup(
        id=number, counts=[pb.StateCount(state=states[name], count=jobs) for name, jobs in counts.items()]
    )
    if at:
        group.finished_at.FromDatetime(at)
    return pb.GetGroupResponse(group=group)


def test_an_array_is_waited_for_and_what_failed_is_told(rainbow: Run, agent: Crew) -> None:
    result = rainbow("submit", "--wait", "--array", "0-4", "-c", "test $RAINBOW_ARRAY_INDEX != 3 || exit 7")

    (failed,) = agent.client.list_jobs(states=[JobState.FAILED])
    lines = [line.split("  ", 1)[-1] for line in result.stderr.splitlines()]
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert f"Submitted 5 jobs to {agent.client.cluster} as group {failed.group} in " in lines[0]
    assert f"Job {failed.id} (index 3): failed with exit code 7" in lines
    assert f"Group {failed.group}: 5 of 5 are over: 4 completed, 1 failed" in lines
    assert f"rainbow logs --group {failed.group} --state failed" in lines[-1]


def test_an_array_that_completes_exits_with_0(rainbow: Run, agent: Crew) -> None:
    result = rainbow("submit", "--wait", "--array", "0-1", "--", "true")

    assert result.exit_code == 0, result.output
    assert "are over: 2 completed" in result.stderr.splitlines()[-1]


def test_the_rows_of_a_file_of_parameters_are_waited_for(rainbow: Run, agent: Crew, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("CODE\n0\n0\n")

    document = answer(rainbow("submit", "--wait", "--json", "--each", str(tmp_path / "rows.csv"), "-c", "exit $CODE"))

    assert (document["submitted"], document["ended"]["id"]) == (2, document["group"])
    assert document["ended"]["counts"] == {"completed": 2}
    assert document["ended"]["finished_at"]


def test_the_jobs_of_a_file_are_waited_for_as_a_group(rainbow: Run, agent: Crew, jobs_file: JobsFile) -> None:
    path = jobs_file(*({"command": f"exit {code}", "nodes": 1} for code in (0, 3)))

    without_a_group = rainbow("submit", "--wait", "--file", path)
    result = rainbow("submit", "--wait", "--file", path, "--group-name", "of a file")

    assert without_a_group.exit_code == 2
    assert "--group-name" in without_a_group.stderr
    assert result.exit_code == 1, result.output
    assert "failed with exit code 3" in result.stderr


def test_members_that_were_refused_count_where_all_others_completed(
    rainbow: Run, agent: Crew, jobs_file: JobsFile
) -> None:
    path = jobs_file({"command": "true", "nodes": 1}, {"command": "true", "nodes": -1})

    result = rainbow("submit", "--wait", "--file", path, "--group-name", "one is bad")

    assert result.exit_code == 5, result.output
    assert "1 of 1 are over: 1 completed" in result.stderr


def test_where_all_are_refused_nothing_is_waited_for(rainbow: Run, remote: Remote, jobs_file: JobsFile) -> None:
    result = rainbow("submit", "--wait", "--file", jobs_file({"command": "a", "nodes": -1}), "--group-name", "bad")

    assert result.exit_code == 5


def test_the_same_command_waits_for_the_same_group(rainbow: Run, agent: Crew) -> None:
    words = ("submit", "--array", "0-1", "--key", "mine", "--json")
    first = answer(rainbow(*words, "--", "true"))

    again = answer(rainbow(*words, "--wait", "--", "true"))

    assert (again["group"], again["duplicates"], again["ended"]["counts"]) == (first["group"], 2, {"completed": 2})


def test_whoever_stops_waiting_stops_no_member(rainbow: Run, agent: Crew, tmp_path: Path) -> None:
    command = [*MAIN, "submit", "--wait", "--array", "0-1", "-c", until_there(tmp_path / "go")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        told = next(line for line in process.stderr if "are over" in line)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
    group = told.partition("Group ")[2].partition(":")[0]

    assert process.returncode == 130
    assert rest.endswith(f"Group {group} goes on without you; `rainbow cancel --group {group}` stops it.\n")
    (tmp_path / "go").touch()
    waited = rainbow("wait", "--group", group)
    assert (waited.exit_code, waited.stdout) == (0, "")
    assert waited.stderr.endswith("2 of 2 are over: 2 completed\n")


def test_a_group_of_which_one_was_cancelled_exits_with_143(rainbow: Run, remote: Remote) -> None:
    group = str(answer(rainbow("submit", "--array", "0-1", "--json", "--", "true"))["group"])
    rainbow("cancel", "--group", group)

    result = rainbow("wait", "--group", group, "--json")

    assert rainbow("wait", f"{group}_1").exit_code == result.exit_code == 143
    assert '"cancelled": 2' in result.stdout


def test_jobs_are_waited_for_and_each_end_is_printed(rainbow: Run, agent: Crew) -> None:
    good, bad = agent.submit("true"), agent.submit("exit 9")

    result = rainbow("wait", str(good), str(bad))
    document = rainbow("wait", str(bad), "--json")

    told = sorted(line.split("  ", 1)[1] for line in result.stdout.splitlines())
    assert result.exit_code == document.exit_code == 9
    assert told == [f"Job {good}: completed", f"Job {bad}: failed with exit code 9"]
    assert f'"id": {bad}' in document.stdout


@pytest.mark.parametrize("words", [(), ("7", "--group", "1")])
def test_what_to_wait_for_is_said_once(rainbow: Run, words: tuple[str, ...]) -> None:
    assert rainbow("wait", *words).exit_code == 2


def test_a_job_that_there_is_none_of_is_not_waited_for(rainbow: Run) -> None:
    assert rainbow("wait", "2147483647").exit_code == 4


def test_an_outage_is_borne_while_a_group_is_waited_for(begin: Begin) -> None:
    now = datetime.now(UTC)
    begin(group_of(7, queued=1), *[grpc.StatusCode.UNAVAILABLE] * 3, group_of(7, at=now, completed=1))

    result = CliRunner().invoke(main, ["wait", "--group", "7"])

    assert result.exit_code == 0, result.output
    assert "as rehearsed; trying for" in result.stderr


def test_a_group_is_polled_more_rarely_while_nothing_changes(rehearse: Rehearse, clock: Clock) -> None:
    waits, goes = group_of(7, queued=2), group_of(7, queued=1, running=1)
    _, client = rehearse(*[waits] * 6, goes, group_of(7, at=datetime.now(UTC), completed=2))

    counts = [sum(group.counts.values()) for group in client.watch_group(7)]

    assert counts == [2, 2, 2]
    assert clock.pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 0.5]


def test_a_call_without_an_answer_ends_no_wait(rehearse: Rehearse) -> None:
    slow, over = grpc.StatusCode.DEADLINE_EXCEEDED, group_of(7, at=datetime.now(UTC), completed=1)
    _, client = rehearse(group_of(7, queued=1), slow, over)

    assert [group.finished_at is None for group in client.watch_group(7)] == [True, False]


def test_a_server_that_stays_away_ends_the_wait(rehearse: Rehearse, clock: Clock) -> None:
    _, client = rehearse(group_of(7, queued=1), *[grpc.StatusCode.UNAVAILABLE] * 10_000, timeout_seconds=10)

    with pytest.raises(Unavailable):
        list(client.watch_group(7))
    assert 300 <= clock.now < 400


def test_no_more_than_the_first_failures_are_told(rehearse: Rehearse, capsys: pytest.CaptureFixture[str]) -> None:
    failed = [pb.Job(id=number, array_index=number, state=pb.JOB_STATE_FAILED) for number in range(1, 31)]
    looks = []
    for start in (20, 10, 0):
        look = group_of(7, at=datetime.now(UTC) if start == 0 else None, failed=30 - start)
        look.group.failures.extend(failed[start : start + 10])
        looks.append(look)
    _, client = rehearse(*looks)

    wait_for_group(client, 7)

    assert sum(" (index " in line for line in capsys.readouterr().err.splitlines()) == MOST_FAILURES


def test_the_asynchronous_client_watches_a_group(remote: Remote, server: RainbowServer) -> None:
    async def act() -> list[dict[JobState, int]]:
        known = {"cluster": remote.name, "token": remote.token}
        async with package.AsyncClient(server.address, timeout_seconds=PATIENCE_SECONDS, **known) as client:
            queued = await client.submit_jobs([JobSpec(command="true")] * 2, group=GroupWish())
            seen = []
            async for group in client.watch_group(queued.group):
                if not seen:
                    await client.cancel_group(queued.group)
                seen.append(dict(group.counts))
            with pytest.raises(NotFound):
                await anext(client.watch_group(2**31 - 1))
            return seen

    seen = asyncio.run(act())

    assert (seen[0], seen[-1]) == ({JobState.QUEUED: 2}, {JobState.CANCELLED: 2})


def test_a_group_that_takes_further_jobs_is_waited_for(remote: Remote, server: RainbowServer) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token, timeout_seconds=PATIENCE_SECONDS) as client:
        queued = client.submit_jobs([JobSpec(command="true")], group=GroupWish(more=True))
        steps = client.watch_group(queued.group)
        assert next(steps).open
        client.cancel_jobs([queued.results[0].jobid])
        assert next(steps).finished_at is None

        client.submit_jobs([JobSpec(command="true")], group=GroupWish(id=queued.group))
        wait_until(lambda: not client.get_group(queued.group).open)
        client.cancel_group(queued.group)

        assert list(steps)[-1].counts == {JobState.CANCELLED: 2}


# Why a group waits

SOON = "from rainbow.terminal import group_news; group_news.SAY_AFTER_SECONDS = 0.1"


def queued(outlook: str, *, jobs: int = 2) -> list[object]:
    """What a server answers who asks why a group waits."""
    prospect = pb.Prospect(cluster="keebler", outlook=outlook, text=f"is {outlook}")
    job = pb.Job(id=7, state=pb.JOB_STATE_QUEUED, why_waiting="keebler", prospects=[prospect])
    return [pb.ListJobsResponse(jobs=[job]), pb.GetJobsResponse(jobs=[job])]


@pytest.mark.parametrize("words", [("wait", "--group"), ("watch", "--group")], ids=["wait", "watch"])
def test_while_a_group_waits_it_is_told_why(rainbow: Run, remote: Remote, words: tuple[str, str]) -> None:
    group = str(answer(rainbow("submit", "--array", "0-1", "--json", "--", "true"))["group"])
    command = [*MAIN[:-1], f"{SOON}; {MAIN[-1]}", *words, group]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        told = next(line for line in process.stderr if " waits: " in line)
        rainbow("cancel", "--group", group)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert told == f"Group {group} waits: {remote.name} has never asked for jobs\n"
    assert process.returncode == 143


def test_who_submits_what_is_held_back_reads_how_it_goes_on(
    rainbow: Run, server: RainbowServer, remote: Remote, tmp_path: Path
) -> None:
    command = [*MAIN[:-1], f"{SOON}; {MAIN[-1]}", "submit", "--wait", "--array", "0-39", "--", "false"]
    with (
        crew(remote, server.address, tmp_path / "state", hold_after=3) as agent,
        at_work(agent),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stderr
        # Before, an agent that is slow to begin may not have asked yet.
        told = next(line for line in process.stderr if " held back " in line)
        group = told.removeprefix("Group ").partition(" ")[0]
        shown = rainbow("group", group)
        rainbow("cancel", "--group", group)
        process.communicate(timeout=PATIENCE_SECONDS)

    why = r".* has held back the jobs of token default for .*: 3 jobs in a row failed at once; .*; `rainbow resume`"
    assert re.search(f"waits: {why}", told)
    assert re.search(f"waits: +{why}", shown.stdout)
    assert process.returncode == 1


def test_why_a_group_waits_is_told_once_until_something_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_EVERY_SECONDS", "SAY_AFTER_SECONDS", "SAY_AGAIN_AFTER_SECONDS"):
        monkeypatch.setattr(group_news, name, 0.01)
    outlooks = ["full", "would_take", "paused", "paused", "silent", "would_take", "silent"]
    told: Queue[str] = Queue()

    with (
        rehearsed_server(*(line for outlook in outlooks for line in queued(outlook))) as server,
        Client(server.address, cluster="any", token="t") as client,
        GroupNews(client, say=told.put) as news,
    ):
        news.note(answers.group(group_of(7, queued=2), asked=7))
        lines = [told.get(timeout=PATIENCE_SECONDS) for _ in range(3)]

    assert lines == [f"Group 7 waits: keebler is {outlook}" for outlook in ("paused", "silent", "silent")]


def test_how_far_a_group_is_is_told_again_where_nothing_changes(
    rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((group_news, "LOOK_EVERY_SECONDS"), (group_wait, "SECONDS_BETWEEN_LINES")):
        monkeypatch.setattr(module, name, 0.01)
    told: Queue[str] = Queue()
    monkeypatch.setattr(group_wait, "complain", told.put)
    lines: list[str] = []

    def once_told(context: grpc.ServicerContext) -> pb.GetGroupResponse:
        lines.extend(told.get(timeout=PATIENCE_SECONDS) for _ in range(3))
        return group_of(7, at=datetime.now(UTC), completed=2)

    _, client = rehearse(group_of(7, running=2), once_told)

    wait_for_group(client, 7)

    assert [line.split("  ", 1)[1] for line in lines] == ["Group 7: 0 of 2 are over: 2 running"] * 3


def test_while_jobs_wait_it_is_told_why(rainbow: Run, remote: Remote) -> None:
    soon = "from rainbow.terminal import why_waiting; why_waiting.SAY_AFTER_SECONDS = 0.1"
    first, second = (str(remote.submit().jobid) for _ in range(2))
    command = [*MAIN[:-1], f"{soon}; {MAIN[-1]}", "wait", first, second]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        told = next(line for line in process.stderr if " waits: " in line)
        rainbow("cancel", first, second)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert f" waits: {remote.name} has never asked for jobs; " in told
