"""`rainbow sbatch`, squeue, scancel and sacct with a server: ids, tables, and exit codes."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from rainbow.client import Client
from rainbow.records import EndCause, GroupWish, JobSpec, JobState
from rainbow.reports import JobReport
from tests.support.commandline import Run, answer
from tests.support.patience import wait_until
from tests.support.servers import RainbowServer
from tests.support.wire import Remote
from tests.test_agent_pools import pooled

Submit = Callable[..., str]

ARRAY = 3_000_000_000


@pytest.fixture
def submit(rainbow: Run) -> Submit:
    """Submits a wrapped command by `rainbow sbatch --parsable`, and returns the id that it prints."""

    def submitted(*words: str) -> str:
        result: Result = rainbow("sbatch", "--parsable", *words, "--wrap", "true")
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    return submitted


def table(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def listed(rainbow: Run, array: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = answer(rainbow("jobs", "--group", str(int(array) - ARRAY), "--json"))["jobs"]
    return jobs


def end(server: RainbowServer, remote: Remote, jobid: int, **how: Any) -> None:
    with Client(server.address, cluster=remote.name, secret=remote.secret) as agent:
        # The tasks of an array may go on one by one, soon after it is submitted.
        wait_until(lambda: agent.accept_jobs([jobid], agent="a").accepted)
        agent.report_jobs([JobReport(jobid=jobid, attempt=1, **{"state": JobState.FAILED, **how})], agent="a")


def test_a_batch_job_is_told_as_slurm_tells_it(rainbow: Run) -> None:
    told = rainbow("sbatch", "--wrap", "true").stdout

    jobid = int(re.fullmatch(r"Submitted batch job (\d+)\n", told)[1])  # type: ignore[index]
    job = answer(rainbow("job", str(jobid), "--json"))
    assert (job["name"], list(job["inputs"])) == ("wrap", ["slurm_script"])


def test_a_job_waits_for_others_and_for_tasks(rainbow: Run, submit: Submit) -> None:
    first, array = submit(), submit("-a", "3,5")

    waiting = submit("-d", f"afterok:{first}:{array},afterany:{array}_5")

    job = answer(rainbow("job", waiting, "--json"))
    group = int(array) - ARRAY
    (task,) = [one for one in listed(rainbow, array) if one["array_index"] == 5]
    assert sorted(job["after"]) == sorted([f"ok:{first}", f"ok:group:{group}", f"any:{task['id']}"])
    assert rainbow("sbatch", "-d", f"afterok:{array}_4", "--wrap", "true").exit_code == 4


def test_squeue_lists_what_waits_and_runs(rainbow: Run, submit: Submit, server: RainbowServer, remote: Remote) -> None:
    over, first, array = submit(), submit("-J", "a b", "-p", "gpu", "-t", "90"), submit("-a", "0-1%1")
    end(server, remote, int(over), state=JobState.COMPLETED, exit_code=0)

    wait_until(
        lambda: (
            table(rainbow("squeue", "-h", "-r", "-o", "%i %t %r"))
            == [[f"{array}_1", "PD", "JobArrayTaskLimit"], [f"{array}_0", "PD", "Priority"], [first, "PD", "Priority"]]
        )
    )
    assert rainbow("squeue", "--me", "-n", "a b", "-o", "%.8i|%3x|").exit_code == 2
    assert rainbow("squeue", "-n", "a b", "-o", "%.8i|%.3j|%l|%5P|%T").stdout.splitlines() == [
        "   JOBID|NAM|TIME_LIMIT|PARTI|STATE",
        f"{first:>8}|a b|1:30:00|gpu  |PENDING",
    ]
    assert table(rainbow("squeue", "--noheader", "--format=%i %t", "--job", f"{over},{first}", "-t", "all")) == [
        [over, "CD"],
        [first, "PD"],
    ]
    assert table(rainbow("squeue", "-h", "-u", "somebody-else")) == []


def test_the_tasks_of_an_array_that_wait_are_one_line(
    rainbow: Run, submit: Submit, server: RainbowServer, remote: Remote
) -> None:
    """As a real squeue prints them."""
    array, single = submit("-a", "0-9%2"), submit()
    first = next(job["id"] for job in listed(rainbow, array) if job["array_index"] == 0)
    end(server, remote, first, state=JobState.RUNNING)

    def lines(*words: str) -> list[str]:
        return rainbow("squeue", "-h", "-o", "%i|%F|%K|%A|%t|%r", *words).stdout.splitlines()

    assert lines() == [
        f"{single}|{single}|N/A|{single}|PD|Priority",
        f"{array}_[1-9%2]|{array}|1-9%2|{array}|PD|Priority",
        f"{array}_0|{array}|0|{first}|R|None",
    ]
    assert lines("-j", f"{array}_5,{array}_7") == [f"{array}_[5,7%2]|{array}|5,7%2|{array}|PD|JobArrayTaskLimit"]
    assert len(lines("-r")) == 11
    assert rainbow("sacct", "-nP", "-j", array, "-o", "JobID,JobIDRaw,State").stdout.splitlines() == [
        f"{array}_0|{first}|RUNNING",
        f"{array}_[1-9%2]|{array}|PENDING",
    ]
    assert len(rainbow("sacct", "-n", "--array", "-j", array).stdout.splitlines()) == 10


def test_a_cluster_sees_the_tasks_that_it_has_of_a_pools_array(
    rainbow: Run, server: RainbowServer, remote: Remote
) -> None:
    specs = [JobSpec(command="true", array_index=index) for index in range(3)]
    with pooled(server, remote.name) as pool:
        queued = pool.submit_jobs(specs, group=GroupWish(at_once=2))
    array, first = queued.group + ARRAY, queued.results[0].jobid
    with Client(server.address, cluster=remote.name, secret=remote.secret) as agent:
        wait_until(lambda: agent.accept_jobs([first], agent="a").accepted)

    for which in ((), ("-j", f"{array}_0")):
        assert table(rainbow("squeue", "-h", "-o", "%i %t", "--as-cluster", *which)) == [[f"{array}_[0]", "PD"]]
    assert answer(rainbow("job", f"{array}_0", "--as-cluster", "--json"))["id"] == first


def test_a_long_list_of_waiting_tasks_is_cut(rainbow: Run, submit: Submit) -> None:
    indexes = ",".join(str(number**2) for number in range(40))
    array = submit("-a", indexes)

    assert table(rainbow("squeue", "-h", "-o", "%K")) == [[f"{indexes.replace('0,1,', '0-1,', 1)[:60]}..."]]
    assert len(table(rainbow("squeue", "-h", "-r", "-j", array))) == 40


def test_the_groups_own_id_names_its_tasks(rainbow: Run, submit: Submit) -> None:
    array = submit("-a", "0-6")
    group = int(array) - ARRAY

    assert table(rainbow("squeue", "-h", "-r", "-o", "%i", "-j", f"{group}_3")) == [[f"{array}_3"]]
    assert table(rainbow("sacct", "-nX", "-o", "JobID%20", "-j", f"{group}_[3-4]")) == [[f"{array}_[3-4]"]]
    assert rainbow("scancel", f"{group}_5", f"{group}_[0-1]").exit_code == 0
    assert rainbow("cancel", f"{group}_[2-3]").exit_code == 0
    assert answer(rainbow("job", f"{group}_3", "--json"))["state"] == "cancelled"
    wait_until(lambda: table(rainbow("squeue", "-h", "-o", "%i")) == [[f"{array}_[4,6]"]])


def test_however_many_tasks_of_an_array_are_named_it_is_listed_once(
    rainbow: Run, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    array, single = submit("-a", "0-6"), submit()
    asked, list_jobs = [], Client.list_jobs
    monkeypatch.setattr(
        Client, "list_jobs", lambda *own, **said: asked.append(said["group"]) or list_jobs(*own, **said)
    )

    assert rainbow("cancel", f"{array}_3", single, f"{array}_[0-1]", f"{array}_0").exit_code == 0
    assert rainbow("scancel", f"{array}_4", f"{array}_5", f"{array}_[5-6]").exit_code == 0

    assert asked == [int(array) - ARRAY] * 2
    assert table(rainbow("squeue", "-h", "-o", "%i", "-j", f"{array}_2,{array}_0,{array}_2")) == [[f"{array}_[2]"]]


def test_a_task_that_is_none_is_told_and_nothing_is_done(rainbow: Run, submit: Submit) -> None:
    array, other = submit("-a", "0-2"), submit()

    missing = rainbow("cancel", other, f"{int(array) - ARRAY}_[2-4]")

    assert (missing.exit_code, missing.stderr) == (4, f"Error: there is no such job: {array}_3\n")
    assert table(rainbow("squeue", "-h", "-o", "%i")) == [[other], [f"{array}_[0-2]"]]


def test_squeue_fails_where_no_id_is_known(rainbow: Run, submit: Submit) -> None:
    known = submit()

    assert rainbow("squeue", "-j", "2147483647").exit_code == 2
    partly = rainbow("squeue", "-h", "-o", "%i", "-j", f"{known},{ARRAY + 2**31 - 1}_3")
    assert (table(partly), partly.stderr) == ([[known]], f"Invalid job id specified: {ARRAY + 2**31 - 1}_3\n")


@pytest.mark.parametrize(
    ("how", "state", "code"),
    [
        ({"state": JobState.COMPLETED, "exit_code": 0}, ("CD", "COMPLETED"), "0:0"),
        ({"exit_code": 3}, ("F", "FAILED"), "3:0"),
        ({"reason": "no such directory"}, ("F", "FAILED"), "1:0"),
        ({"exit_code": 137, "end_cause": EndCause.SIGNAL}, ("F", "FAILED"), "0:9"),
        ({"end_cause": EndCause.TIMED_OUT}, ("TO", "TIMEOUT"), "0:0"),
        ({"end_cause": EndCause.NODE_FAILED}, ("NF", "NODE_FAIL"), "0:0"),
        ({"end_cause": EndCause.OUT_OF_MEMORY}, ("OOM", "OUT_OF_MEMORY"), "0:0"),
        ({"end_cause": EndCause.PREEMPTED}, ("PR", "PREEMPTED"), "0:0"),
    ],
)
def test_ends_have_slurms_names(
    rainbow: Run, submit: Submit, server: RainbowServer, remote: Remote,
    how: dict[str, Any], state: tuple[str, str], code: str,
) -> None:  # fmt: skip
    jobid = submit()
    end(server, remote, int(jobid), **how)

    assert table(rainbow("squeue", "-h", "-t", state[0].lower(), "-j", jobid, "-o", "%t %T")) == [[*state]]
    assert (
        rainbow("sacct", "-nPX", "-j", jobid, "--format", "JobID,State,ExitCode").stdout
        == f"{jobid}|{state[1]}|{code}\n"
    )


def test_sacct_tells_how_jobs_ended(rainbow: Run, submit: Submit, server: RainbowServer, remote: Remote) -> None:
    jobid, array = submit("-J", "a-rather-long-name"), submit("-a", "8")
    end(server, remote, int(jobid), exit_code=1)

    assert rainbow("sacct", "-j", f"{jobid},{array}").stdout.splitlines() == [
        "       JobID    JobName  Partition    Account  AllocCPUS      State ExitCode ",
        "------------ ---------- ---------- ---------- ---------- ---------- -------- ",
        f"{jobid:>12} a-rather-+                                1     FAILED      1:0 ",
        f"{array}_+       wrap                                1    PENDING      0:0 ",
    ]
    assert rainbow("sacct", "-p", "-j", jobid, "-o", "jobname%5,Elapsed").stdout.splitlines() == [
        "JobName|Elapsed|",
        "a-rather-long-name|00:00:00|",
    ]
    assert rainbow("sacct", "--starttime", "now-2days", "--endtime", "now", "--clusters", "all", "-nPX",
                   "--name", "a-rather-long-name", "--format=JobIdRaw,State").stdout == f"{jobid}|FAILED\n"  # fmt: skip


def test_sacct_leaves_out_what_was_over_before(rainbow: Run, submit: Submit) -> None:
    jobid = submit("-J", "mine")

    assert table(rainbow("sacct", "-nX", "--name", "mine", "-o", "JobIDRaw")) == [[jobid]]
    assert table(rainbow("sacct", "-nX", "--name", "mine", "-E", "now-1hour", "-o", "JobIDRaw")) == []


def test_scancel_stops_jobs_arrays_and_tasks(rainbow: Run, submit: Submit) -> None:
    job, array, other = submit(), submit("-a", "0-2"), submit("-a", "0-2")

    result = rainbow("scancel", job, f"{array}_[0-1]", other)

    assert (result.exit_code, result.output) == (0, "")
    wait_until(lambda: table(rainbow("squeue", "-h", "-o", "%i")) == [[f"{array}_[2]"]])
    assert rainbow("scancel", job, other).exit_code == 0  # they are over
    unknown = rainbow("scancel", "2147483647")
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        "Kill job error on job id 2147483647: Invalid job id specified\n",
    )


def test_scancel_stops_what_it_is_told_by_name_and_state(rainbow: Run, submit: Submit) -> None:
    submit("-J", "mine"), submit("-J", "mine")
    other = submit("-J", "other")

    assert rainbow("scancel", "-n", "mine", "-t", "PENDING").exit_code == 0

    assert table(rainbow("squeue", "-h", "-o", "%i")) == [[other]]
    assert rainbow("scancel").exit_code == 2
    assert rainbow("scancel", "--signal", "USR1", other).exit_code == 1  # it does not run


def test_a_job_that_was_accepted_by_hand_keeps_none_from_being_stopped(
    rainbow: Run, submit: Submit, server: RainbowServer, remote: Remote
) -> None:
    taken = submit()
    with Client(server.address, cluster=remote.name, secret=remote.secret) as by_hand:
        assert by_hand.accept_jobs([int(taken)]).accepted
    submit()
    assert [taken, "AcceptedByHand"] in table(rainbow("squeue", "-h", "-o", "%i %r"))

    by_state = rainbow("scancel", "-t", "PENDING")

    assert by_state.exit_code == 0
    assert by_state.stderr.startswith(f"Kill job error on job id {taken}: ")
    assert [row[0] for row in table(rainbow("squeue", "-h", "-o", "%i"))] == [taken]
    assert rainbow("scancel", taken).exit_code == 1


def test_scancel_stops_nothing_where_a_name_is_empty(rainbow: Run, submit: Submit) -> None:
    """As of a variable in a script that is not set."""
    job = submit()

    for words in ([""], [","], ["-u", ""], ["-n", ""], ["-p", " "], ["-A", ","], ["-t", ""], ["-n", "mine", "-n", ""]):
        result = rainbow("scancel", *words)
        assert (result.exit_code, "is empty" in result.stderr) == (2, True), words

    assert table(rainbow("squeue", "-h", "-o", "%i")) == [[job]]


def test_scancel_stops_the_others_where_an_array_is_unknown(rainbow: Run, submit: Submit) -> None:
    job = submit()

    result = rainbow("scancel", str(ARRAY + 99), job)

    assert (result.exit_code, result.stderr) == (
        1,
        f"Kill job error on job id {ARRAY + 99}: Invalid job id specified\n",
    )
    assert table(rainbow("squeue", "-h", "-o", "%i")) == []


def test_of_an_array_all_jobs_are_queued_or_none(rainbow: Run) -> None:
    refused = rainbow("sbatch", "-a", "0-3", "--need", "no such=thing=", "--wrap", "true")

    assert refused.exit_code == 2
    assert table(rainbow("squeue", "-h")) == []


def test_waiting_ends_with_the_jobs_exit_code(rainbow: Run, server: RainbowServer, remote: Remote) -> None:
    key = "waited-for"
    jobid = rainbow("sbatch", "--parsable", "--key", key, "--wrap", "true").stdout.strip()
    end(server, remote, int(jobid), exit_code=7)

    assert rainbow("sbatch", "-Q", "-W", "--key", key, "--wrap", "true").exit_code == 7


def test_waiting_tells_why_a_job_failed_that_never_ran(rainbow: Run, server: RainbowServer, remote: Remote) -> None:
    words = ("sbatch", "--key", "no-room", "--wrap", "true")
    jobid = rainbow(*words, "--parsable").stdout.strip()
    array = ("sbatch", "--key", "no-room-either", "-a", "4", "--wrap", "true")
    of_array = rainbow(*array, "--parsable").stdout.strip()
    end(server, remote, int(jobid), reason="memory is refused here")
    end(server, remote, listed(rainbow, of_array)[0]["id"], reason="and here")

    single, many = rainbow(*words, "-W"), rainbow(*array, "-W")

    assert (single.exit_code, many.exit_code) == (1, 1)
    assert f"Job {jobid}: failed" in single.stderr and "memory is refused here" in single.stderr
    assert "and here" in many.stderr


def test_an_arrays_id_is_taken_for_that_of_its_group(rainbow: Run, submit: Submit) -> None:
    array = submit("-a", "3,5")
    group = int(array) - ARRAY

    assert answer(rainbow("group", array, "--json"))["id"] == group
    assert len(answer(rainbow("jobs", "--group", array, "--json"))["jobs"]) == 2
    assert f"no job of group {group} failed" in rainbow("resubmit", "--failed-of", array).stderr


def test_submit_waits_for_tasks_and_arrays_by_their_ids(rainbow: Run, submit: Submit) -> None:
    array = submit("-a", "3,5")
    group, task = int(array) - ARRAY, next(one["id"] for one in listed(rainbow, array) if one["array_index"] == 5)

    terms = [f"any:{group}_5", f"{array}_5", array, f"failed:group:{array}", f"any:group:{group}"]
    after = [word for term in terms for word in ("--after", term)]
    jobid = answer(rainbow("submit", "--json", *after, "--", "true"))["jobid"]
    changed = answer(rainbow("resubmit", "--json", str(jobid), "--change", f"after={array}_5"))["results"][0]["id"]

    of_group = [f"ok:group:{group}", f"failed:group:{group}", f"any:group:{group}"]
    assert answer(rainbow("job", str(jobid), "--json"))["after"] == [f"any:{task}", f"ok:{task}", *of_group]
    assert answer(rainbow("job", str(changed), "--json"))["after"] == [f"ok:{task}"]
    missing = rainbow("submit", "--after", f"{array}_4", "--", "true")
    assert (missing.exit_code, missing.stderr) == (4, f"Error: there is no such job: {array}_4\n")
    assert "--after: terms must be" in rainbow("submit", "--after", "x", "--", "true").stderr


def test_failures_name_what_was_typed(rainbow: Run) -> None:
    assert "Error: --dependency: there is no such job: 2147483647" in rainbow(
        "sbatch", "-d", "afterok:2147483647", "--wrap", "true"
    ).stderr  # fmt: skip
    assert rainbow("wait", "2147483647").stderr.startswith("Error: ID: ")
    assert rainbow("clusters", "nope").stderr.startswith("Error: nope: there is no such cluster")
    assert "Error: --comment: " in rainbow("sbatch", "--comment", "x" * 300, "--wrap", "true").stderr
    for words in (["fetch"], ["logs"], ["cancel"], ["wait"], ["watch"]):
        told = rainbow(*words, "--group", "2147483647").stderr
        assert told.startswith("Error: there is no such group: 2147483647"), (words, told)
