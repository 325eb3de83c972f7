"""Groups of jobs by the command line and over gRPC."""

from pathlib import Path

import grpc
import pytest

from rainbow.arrays import MOST_MEMBERS, Array, array_in, variables_of
from rainbow.client import Client
from rainbow.errors import InvalidArgument, NotFound
from rainbow.protos import rainbow_pb2 as pb
from rainbow.records import GroupWish, JobSpec, JobState
from tests.support.commandline import Run, answer
from tests.support.job_files import JobsFile, numbered
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote


@pytest.mark.parametrize(
    ("text", "indexes"),
    [
        ("0-3", (0, 1, 2, 3)),
        ("7", (7,)),
        ("1,3,5", (1, 3, 5)),
        ("0-100:25", (0, 25, 50, 75, 100)),
        ("5-6,0-2,2", (0, 1, 2, 5, 6)),
    ],
)
def test_indexes_are_written_as_sbatch_takes_them(text: str, indexes: tuple[int, ...]) -> None:
    assert array_in(text) == Array(indexes=indexes)
    assert array_in(f"{text}%5") == Array(indexes=indexes, at_once=5)


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "3-1", "0-9:0", "1,", "0-99999999999", f"0-{MOST_MEMBERS}", "1-2-3", "0-9%", "0-9%0"]
)
def test_other_indexes_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        array_in(text)


def test_an_array_is_one_group_of_jobs_with_their_indexes(rainbow: Run, remote: Remote) -> None:
    done = answer(rainbow("submit", "--array", "0-2,7", "--group-name", "sweep", "--json", "--", "./run.sh"))

    jobs = answer(rainbow("jobs", "--group", str(done["group"]), "--json"))["jobs"]
    group = answer(rainbow("group", str(done["group"]), "--json"))
    assert (done["submitted"], done["refused"]) == (4, 0)
    assert [(job["array_index"], job["command"], job["group"]) for job in jobs] == [
        (index, "./run.sh", done["group"]) for index in (7, 2, 1, 0)
    ]
    assert (group["name"], group["counts"], group["jobs"], group["open"]) == ("sweep", {"queued": 4}, 4, False)


@pytest.mark.parametrize(
    ("text", "values"),
    [("0-2", "3 0 2 1"), ("2-10:4", "3 2 10 4"), ("1,3,4", "3 1 4 1"), ("5", "1 5 5 1"), ("1,2,9%1", "3 1 9 1")],
)
def test_a_task_is_told_of_its_array_what_slurm_tells(text: str, values: str) -> None:
    """The values were read in tasks of a real Slurm, 22.05."""
    assert " ".join(variables_of(array_in(text).indexes).values()) == values


def test_members_of_a_sweep_find_all_of_it_in_their_environment(rainbow: Run, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("RATE\n0.1\n0.2\n0.3\n")
    by_index = answer(rainbow("submit", "--array", "2-10:4", "--json", "--", "true"))["group"]
    by_row = answer(rainbow("submit", "--each", str(rows), "--env", "A=1", "--json", "--", "true"))["group"]

    for group, expected, more in ((by_index, [2, 6, 10], {}), (by_row, [0, 1, 2], {"A": "1"})):
        jobs = answer(rainbow("jobs", "--group", str(group), "--json"))["jobs"]
        for job in (answer(rainbow("job", str(job["id"]), "--json")) for job in jobs):
            rate = {} if group == by_index else {"RATE": ["0.1", "0.2", "0.3"][job["array_index"]]}
            assert job["environment"] == {**variables_of(expected), **more, **rate}
        assert sorted(job["array_index"] for job in jobs) == expected


def test_the_same_array_under_the_same_key_is_the_same_group(rainbow: Run) -> None:
    words = ("submit", "--array", "0-1", "--key", "mine", "--json", "--", "true")

    first, second = answer(rainbow(*words)), answer(rainbow(*words))

    assert (first["submitted"], second["submitted"], second["duplicates"]) == (2, 0, 2)
    assert first["group"] == second["group"]


def test_a_long_array_is_closed_by_its_last_batch(rainbow: Run) -> None:
    done = rainbow("submit", "--array", "1-1200", "--", "true")
    groups = answer(rainbow("groups", "--json"))["groups"]

    assert f"Submitted 1,200 jobs to {groups[0]['cluster']} as group {groups[0]['id']}" in done.stdout
    assert [(group["jobs"], group["open"]) for group in groups] == [(1200, False)]


def test_the_jobs_of_a_file_are_a_group_if_it_has_a_name(rainbow: Run, jobs_file: JobsFile) -> None:
    done = answer(rainbow("submit", "--file", jobs_file(*numbered(3)), "--group-name", "of a file", "--json"))

    assert answer(rainbow("group", str(done["group"]), "--json"))["name"] == "of a file"


def test_a_group_is_shown_with_what_failed(rainbow: Run, remote: Remote) -> None:
    done = answer(rainbow("submit", "--array", "4-5", "--json", "--", "./run.sh"))
    ids = [job["id"] for job in answer(rainbow("jobs", "--group", str(done["group"]), "--json"))["jobs"]]
    remote.accept(*ids, agent="a")
    failed = pb.JobReport(jobid=min(ids), attempt=1, state=pb.JOB_STATE_FAILED, exit_code=3, reason="exit code 3")
    remote.stub.ReportJobs(
        pb.ReportJobsRequest(agent="a", reports=[failed]), metadata=remote.by_secret, timeout=PATIENCE_SECONDS
    )

    shown = rainbow("group", str(done["group"])).stdout

    assert "1 of 2 are over (50 %)" in shown
    assert f"{min(ids)}  4      3          exit code 3" in shown
    assert "1 failed" in rainbow("groups").stdout


def test_a_group_is_finished_soon_after_its_last_member(rainbow: Run, remote: Remote) -> None:
    done = answer(rainbow("submit", "--array", "0-1", "--json", "--", "true"))
    group = str(done["group"])
    ids = [str(job["id"]) for job in answer(rainbow("jobs", "--group", group, "--json"))["jobs"]]

    rainbow("cancel", *ids)

    wait_until(lambda: answer(rainbow("group", group, "--json"))["finished_at"] is not None)


def test_a_group_is_cancelled_and_watched_to_its_end(rainbow: Run) -> None:
    group = str(answer(rainbow("submit", "--array", "0-9%2", "--json", "--", "true"))["group"])
    wait_until(lambda: answer(rainbow("group", group, "--json"))["counts"] == {"blocked": 8, "queued": 2})

    said = rainbow("cancel", "--group", group, "--reason", "wrong input")
    watched = rainbow("watch", "--group", group)

    assert said.stdout.startswith(f"Group {group}: 10 jobs will be cancelled")
    assert watched.exit_code == 143
    assert "10 of 10 are over: 10 cancelled" in watched.stdout
    assert ": wrong input" in rainbow("group", group).stdout
    assert rainbow("cancel", "--group", group).exit_code == 5


def test_a_group_stops_after_failures(rainbow: Run, remote: Remote) -> None:
    words = ("submit", "--array", "0-9", "--at-once", "1", "--stop-after-failures", "1", "--json", "--", "true")
    group = str(answer(rainbow(*words))["group"])
    wait_until(lambda: answer(rainbow("group", group, "--json"))["counts"].get("queued"))
    (job,) = answer(rainbow("jobs", "--group", group, "--state", "queued", "--json"))["jobs"]
    remote.accept(job["id"], agent="a")
    failed = pb.JobReport(jobid=job["id"], attempt=1, state=pb.JOB_STATE_FAILED, exit_code=3)
    remote.stub.ReportJobs(
        pb.ReportJobsRequest(agent="a", reports=[failed]), metadata=remote.by_secret, timeout=PATIENCE_SECONDS
    )

    assert rainbow("watch", "--group", group).exit_code == 1
    assert answer(rainbow("group", group, "--json"))["counts"] == {"failed": 1, "cancelled": 9}


@pytest.mark.parametrize(
    "words", [("group",), ("watch", "--group"), ("wait", "--group"), ("logs", "--group"), ("cancel", "--group")]
)
def test_a_group_that_there_is_none_of_is_named(rainbow: Run, words: tuple[str, ...]) -> None:
    result = rainbow(*words, "2147483647")

    assert result.exit_code == 4
    assert result.stderr == "Error: there is no such group: 2147483647; `rainbow groups` lists those that you may see\n"


def test_a_group_of_another_is_not_found(rainbow: Run, other_remote: Remote, server: RainbowServer) -> None:
    done = answer(rainbow("submit", "--array", "0", "--json", "--", "true"))

    with Client(server.address, cluster=other_remote.name, token=other_remote.token, tls=False) as other:
        with pytest.raises(NotFound) as theirs:
            other.get_group(done["group"])
        with pytest.raises(NotFound) as none:
            other.get_group(2**31 - 1)
        assert list(other.list_groups()) == []

    assert str(theirs.value) == str(none.value)


def test_a_program_adds_to_a_group_in_several_calls(remote: Remote, server: RainbowServer) -> None:
    with Client(server.address, cluster=remote.name, token=remote.token, tls=False) as client:
        first = client.submit_jobs([JobSpec(command="a", array_index=0)], group=GroupWish(name="mine", more=True))
        client.submit_jobs([JobSpec(command="b", array_index=1)], group=GroupWish(id=first.group))
        group = client.get_group(first.group)

    assert (group.counts, group.open) == ({JobState.QUEUED: 2}, False)


def test_the_group_of_a_job_is_not_said_twice(remote: Remote) -> None:
    request = pb.SubmitJobsRequest(jobs=[pb.JobSpec(command="a", nodes=1, group=1)], group=pb.Group())

    with pytest.raises(grpc.RpcError) as refused:
        remote.stub.SubmitJobs(request, metadata=remote.by_token, timeout=PATIENCE_SECONDS)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "words",
    [
        ("--array", "0-1", "--array-index", "3", "--", "true"),
        ("--array", "1-0", "--", "true"),
        ("--group-name", "x", "--", "true"),
        ("--at-once", "5", "--", "true"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_the_command(rainbow: Run, words: tuple[str, ...]) -> None:
    assert rainbow("submit", *words).exit_code == 2
