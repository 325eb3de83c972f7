"""The command line: jobs from submission to their end."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from rainbow.client import Client
from tests.support.commandline import Run, answer
from tests.support.patience import wait_until
from tests.support.rows import set_cluster
from tests.support.servers import RainbowServer
from tests.support.wire import Remote


def test_a_submitted_job_is_told_with_its_place_in_the_queue(rainbow: Run, remote: Remote) -> None:
    first, second = (rainbow("submit", "--", "hostname") for _ in range(2))

    assert f"to {remote.name}; it is at position 1 of the queue." in first.stdout
    assert "position 2" in second.stdout


def test_a_cluster_that_never_asked_is_warned_about(rainbow: Run) -> None:
    result = rainbow("submit", "--", "hostname")

    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: ")


def test_a_script_gets_a_submission_as_json(rainbow: Run) -> None:
    keys = ["id", "jobid", "duplicate", "position", "idempotency_key", "agent_last_asked_at", "warning"]

    assert list(answer(rainbow("submit", "--json", "--", "hostname"))) == keys


@pytest.mark.parametrize(
    ("words", "command", "name"),
    [
        (["--", "echo", "a b", "$HOME"], "echo 'a b' '$HOME'", "echo"),
        (["-c", "echo a | wc"], "echo a | wc", "echo"),
        (["-c", "'my program' 1"], "'my program' 1", "my program"),
        (["-c", "echo 'open"], "echo 'open", "echo"),
        (["--job-name", "mine", "--", "ls", "-l"], "ls -l", "mine"),
    ],
    ids=["words", "text", "quoted word", "open quote", "named"],
)
def test_the_command_comes_as_words_or_as_text_and_names_the_job(
    rainbow: Run, words: list[str], command: str, name: str
) -> None:
    jobid = answer(rainbow("submit", "--json", *words))["jobid"]

    job = answer(rainbow("job", "--json", str(jobid)))

    assert (job["command"], job["name"]) == (command, name)


def test_everything_that_may_be_said_of_a_job_arrives(rainbow: Run) -> None:
    size = ["-n", "2", "-t", "8", "--time-limit", "1h30m", "--priority", "-5"]
    place = ["--env", "A=1", "--env", "B=x=y", "--workdir", "/work", "--label", "project=demo"]
    care = ["--key", "mine", "--on-lost", "requeue"]

    jobid = answer(rainbow("submit", "--json", *size, *place, *care, "--", "train"))["jobid"]
    job = answer(rainbow("job", "--json", str(jobid)))

    assert [job[name] for name in ("nodes", "tasks", "time_limit_seconds", "priority")] == [2, 8, 5400, -5]
    assert (job["environment"], job["labels"]) == ({"A": "1", "B": "x=y"}, {"project": "demo"})
    assert (job["working_directory"], job["idempotency_key"], job["on_lost"]) == ("/work", "mine", "requeue")


def test_the_same_key_makes_no_second_job_and_says_so(rainbow: Run) -> None:
    first = answer(rainbow("submit", "--json", "--key", "mine", "--", "hostname"))

    second = rainbow("submit", "--key", "mine", "--", "hostname")

    assert f"Job {first['jobid']} was submitted to" in second.stdout
    assert "before, under this key" in second.stdout


def test_waiting_jobs_are_shown_and_stay(rainbow: Run, remote: Remote) -> None:
    rainbow("submit", "--job-name", "greet", "--time-limit", "90", "--", "echo", "hello")

    shown = [rainbow("request") for _ in range(2)]

    for result in shown:
        header, row = result.stdout.splitlines()
        assert header.split() == ["ID", "NAME", "NODES", "TASKS", "PRIORITY", "TIME", "LIMIT", "COMMAND"]
        assert row.split()[1:] == ["greet", "1", "-", "0", "1m30s", "echo", "hello"]


def test_a_cluster_without_waiting_jobs_is_told_so(rainbow: Run, remote: Remote) -> None:
    result = rainbow("request")

    assert (result.exit_code, result.stdout) == (0, f"No jobs wait for {remote.name}.\n")


@pytest.mark.parametrize("flag", ["--accept", "--accept-jobs"])
def test_accepting_takes_the_first_jobs_and_leaves_the_others(rainbow: Run, flag: str) -> None:
    ids = [answer(rainbow("submit", "--json", "--", "hostname"))["jobid"] for _ in range(3)]

    taken = rainbow("request", flag, "2")
    left = answer(rainbow("request", "--json"))

    assert f"Accepted 2 of 2 jobs: {ids[0]}, {ids[1]}\n" in taken.stdout
    assert [job["id"] for job in left["jobs"]] == ids[2:]


def test_no_more_jobs_are_accepted_than_there_are(rainbow: Run) -> None:
    jobid = answer(rainbow("submit", "--json", "--", "hostname"))["jobid"]

    taken = answer(rainbow("request", "--json", "--max-jobs", "5", "--accept", "5"))

    assert list(taken) == ["jobs", "paused", "accepted", "refused", "broken"]
    assert [job["jobid"] for job in taken["accepted"]] == [jobid]


def test_an_agent_gets_a_lease(rainbow: Run) -> None:
    rainbow("submit", "--", "hostname")

    taken = answer(rainbow("request", "--json", "--accept", "1", "--agent", "login1", "--lease", "10m"))

    assert taken["accepted"][0]["lease_expires_at"] is not None


def test_a_request_takes_limits(rainbow: Run) -> None:
    rainbow("submit", "--nodes", "4", "--tasks", "8", "--time-limit", "2h", "--label", "x=1", "--", "big")
    rainbow("submit", "--time-limit", "1m", "--", "small")

    limits = [["--max-nodes", "2"], ["--max-tasks", "4"], ["--max-time-limit", "1h"], ["--label", "x=1"]]
    names = [answer(rainbow("request", "--json", *limit))["jobs"][0]["name"] for limit in limits]

    assert names == ["small", "small", "small", "big"]


def test_a_request_may_wait_for_a_job(rainbow: Run) -> None:
    result = rainbow("request", "--wait", "1s")

    assert result.exit_code == 0
    assert result.stdout.startswith("No jobs wait for")


def test_my_jobs_are_listed_newest_first(rainbow: Run) -> None:
    for name in ("one", "two"):
        rainbow("submit", "--", name)

    lines = rainbow("jobs").stdout.splitlines()

    assert lines[0].split() == ["ID", "STATE", "NAME", "NODES", "SUBMITTED", "COMMAND"]
    assert [line.split()[2] for line in lines[1:]] == ["two", "one"]


def test_a_list_says_that_there_is_more(rainbow: Run) -> None:
    for _ in range(3):
        rainbow("submit", "--", "hostname")

    short, exact, whole = (rainbow("jobs", *flags) for flags in (["--limit", "2"], ["--limit", "3"], ["--all"]))

    assert len(short.stdout.splitlines()) == 3
    assert "There are more" in short.stderr
    assert exact.stdout.splitlines()[1:] == whole.stdout.splitlines()[1:]
    assert exact.stderr == whole.stderr == ""


def test_a_list_takes_filters(rainbow: Run) -> None:
    wanted = answer(rainbow("submit", "--json", "--label", "x=1", "--job-name", "n", "--", "a"))["jobid"]
    rainbow("request", "--accept", "1")
    rainbow("submit", "--", "b")

    filters = [["--label", "x=1"], ["--job-name", "n"], ["--state", "accepted", "--state", "running"]]
    listed = [answer(rainbow("jobs", "--json", *words)) for words in filters]

    assert [[job["id"] for job in page["jobs"]] for page in listed] == [[wanted]] * 3
    assert rainbow("jobs", "--state", "failed").stdout == "No jobs.\n"


def test_jobs_may_be_looked_at_with_the_secret_instead_of_the_token(
    rainbow: Run, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    rainbow("submit", "--", "hostname")
    monkeypatch.setenv("RAINBOW_TOKEN", "wrong")

    asked = [["--as-cluster"], ["--request-secret", remote.secret]]
    listed = [answer(rainbow("jobs", "--json", *words)) for words in asked]

    assert [len(page["jobs"]) for page in listed] == [1, 1]
    assert rainbow("jobs").exit_code == 3


def test_one_job_is_shown_with_what_happened_to_it(rainbow: Run) -> None:
    jobid = answer(rainbow("submit", "--json", "--label", "x=1", "--", "echo", "hello"))["jobid"]

    result = rainbow("job", str(jobid))

    facts = dict(line.split(":", 1) for line in result.stdout.partition("\n\n")[0].splitlines())
    assert {name: facts[name].strip() for name in ("id", "state", "command", "labels")} == {
        "id": str(jobid),
        "state": "queued",
        "command": "echo hello",
        "labels": "x=1",
    }
    assert "ago)" in facts["submitted"] or "just now" in facts["submitted"]
    assert "WHEN" in result.stdout
    assert "submitted" in result.stdout.splitlines()[-1]


def test_jobs_are_cancelled_with_a_reason(rainbow: Run) -> None:
    ids = [str(answer(rainbow("submit", "--json", "--", "hostname"))["jobid"]) for _ in range(2)]

    result = rainbow("cancel", "--reason", "wrong input", *ids)

    assert result.exit_code == 0
    assert [line.split(":")[0] for line in result.stdout.splitlines()] == [f"Job {jobid}" for jobid in ids]
    assert answer(rainbow("job", "--json", ids[0]))["state"] == "cancelled"


def test_jobs_of_a_label_are_cancelled_and_others_stay(rainbow: Run) -> None:
    wanted, other = (
        str(answer(rainbow("submit", "--json", "--label", f"project={name}", "--", "a"))["id"]) for name in ("x", "y")
    )

    told = rainbow("cancel", "--label", "project=x", "--state", "queued", "--reason", "wrong input", input="y\n")

    assert (told.exit_code, told.stdout) == (0, "1 job: cancelled\n")
    assert [answer(rainbow("job", "--json", jobid))["state"] for jobid in (wanted, other)] == ["cancelled", "queued"]
    header, row = rainbow("jobs", "--state", "cancelled", "--since", "1d").stdout.splitlines()
    assert header.split()[-1] == "WHY"
    assert "wrong input" in row


def test_a_waiting_job_says_why_it_waits(rainbow: Run, remote: Remote) -> None:
    first, second = (str(answer(rainbow("submit", "--json", "--", "hostname"))["jobid"]) for _ in range(2))

    why = answer(rainbow("job", "--json", second))["why_waiting"]
    shown = rainbow("job", second).stdout

    assert why == f"{remote.name} has never asked for jobs; 1 job is before it"
    assert f"\nWhy it waits: {why}\n\n" in shown
    rainbow("cancel", first)
    assert "Why it waits" not in rainbow("job", first).stdout


def test_a_summary_says_why_the_agent_takes_no_jobs(rainbow: Run, remote: Remote, server: RainbowServer) -> None:
    with Client(server.address, cluster=remote.name, secret=remote.secret) as agent:
        agent.report_jobs([], agent="login1", not_ready="no node is in service")

    assert answer(rainbow("summary", "--json"))["not_ready"] == "no node is in service"
    assert f"{remote.name} takes no jobs now: no node is in service\n" in rainbow("summary").stdout


def test_a_summary_counts_every_state(rainbow: Run, remote: Remote) -> None:
    rainbow("submit", "--", "hostname")

    summary, told = answer(rainbow("summary", "--json")), rainbow("summary")

    states = ["blocked", "queued", "accepted", "running", "completed", "failed", "cancelled", "lost"]
    assert (summary["cluster"], list(summary["counts"]), summary["counts"]["queued"]) == (
        remote.name,
        states,
        1,
    )
    assert f"Jobs of {remote.name} were never asked for." in told.stdout


def test_a_job_that_waits_for_another_is_told_as_that(rainbow: Run, remote: Remote) -> None:
    first = answer(rainbow("submit", "--json", "--", "true"))["jobid"]

    second = rainbow("submit", "--after", str(first), "--", "true")

    assert f"to {remote.name}; it waits for other jobs." in second.stdout


def test_a_job_that_waits_for_what_has_failed_is_told_to_be_cancelled(rainbow: Run, remote: Remote) -> None:
    group = str(answer(rainbow("submit", "--array", "0-1", "--json", "--", "true"))["group"])
    rainbow("cancel", "--group", group)
    wait_until(lambda: answer(rainbow("group", group, "--json"))["finished_at"])

    told = rainbow("submit", "--after", f"group:{group}", "--", "true")

    assert told.exit_code == 0
    why = f"group {group} ended without completing; this job was to run once that had completed"
    assert re.fullmatch(rf"Submitted job \d+ to {remote.name}; it was cancelled at once: {why}\.\n", told.stdout)


@pytest.mark.parametrize(("seconds", "said"), [(60, False), (180, True)])
def test_when_jobs_were_last_asked_for_is_told_where_it_is_long_ago(
    rainbow: Run, remote: Remote, server: RainbowServer, seconds: int, said: bool
) -> None:
    then = datetime.now(UTC) - timedelta(seconds=seconds)
    set_cluster(server.database_url, remote.name, last_asked_at=then)

    assert ("were last asked for" in rainbow("submit", "--", "true").stdout) == said
