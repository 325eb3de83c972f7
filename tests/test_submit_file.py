"""Submitting the jobs of a file by the command line."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rainbow.job_lines import LONGEST_LINE
from rainbow.terminal.progress import Lines
from tests.support.commandline import MAIN, Run, answer
from tests.support.job_files import GOOD, JobsFile, numbered
from tests.support.terminals import with_errors_at_terminal, without_controls
from tests.support.wire import Remote


def test_the_jobs_of_a_file_are_queued_in_its_order(rainbow: Run, jobs_file: JobsFile, remote: Remote) -> None:
    result = rainbow("submit", "--file", jobs_file(*numbered(1200)))

    jobs = answer(rainbow("jobs", "--json", "--all"))["jobs"]
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Submitted 1,200 jobs to {remote.name} in ")
    assert [job["command"] for job in reversed(jobs)] == [f"echo {number}" for number in range(1200)]


def test_every_field_of_a_job_can_be_said(rainbow: Run, jobs_file: JobsFile) -> None:
    said = {
        "command": "echo ü",
        "name": "mine",
        "nodes": 2,
        "tasks": 8,
        "priority": -5,
        "time_limit_seconds": 5400,
        "environment": {"A": "x=y"},
        "working_directory": "/work",
        "labels": {"project": "demo"},
        "cores_per_task": 2,
        "gpus_per_task": 1,
        "gpu_type": "a100",
        "memory_mib_per_node": 1024,
        "exclusive": True,
        "account": "physics",
        "partition": "gpu",
        "qos": "long",
        "reservation": "maintenance",
        "constraint": "a&b",
        "options_by_cluster": {"keebler:qos": "x"},
        "image": "/images/a.sif",
        "mounts": ["/data:/data:ro"],
        "needs": ["gpus>=4"],
        "hold_if_unservable": True,
        "start_within_seconds": 3600,
        "idempotency_key": "my own",
        "on_lost": "requeue",
    }

    rainbow("submit", "--file", jobs_file(said))

    jobid = answer(rainbow("jobs", "--json"))["jobs"][0]["id"]
    job = answer(rainbow("job", "--json", str(jobid)))
    assert {name: job[name] for name in said} == said


def test_a_job_of_a_file_says_when_it_expires(rainbow: Run, jobs_file: JobsFile) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    rainbow(
        "submit", "--file", jobs_file({"command": "a", "expires_at": tomorrow}, {"command": "b", "expires_at": None})
    )

    found = {job["command"]: job["expires_at"] for job in answer(rainbow("jobs", "--json"))["jobs"]}
    assert found == {"a": tomorrow, "b": None}


def test_the_same_file_again_submits_nothing_and_says_so(rainbow: Run, jobs_file: JobsFile) -> None:
    path = jobs_file(*numbered(700))
    first = answer(rainbow("submit", "--file", path, "--json"))

    again = answer(rainbow("submit", "--file", path, "--json"))
    told = rainbow("submit", "--file", path)

    assert (first["submitted"], first["duplicates"]) == (700, 0)
    assert (again["submitted"], again["duplicates"]) == (0, 700)
    assert "700 were there already" in told.stdout
    assert told.exit_code == 0


def test_another_prefix_submits_the_same_file_anew(rainbow: Run, jobs_file: JobsFile) -> None:
    path = jobs_file(GOOD)

    results = [answer(rainbow("submit", "--file", path, "--key-prefix", word, "--json")) for word in "aab"]

    assert [result["submitted"] for result in results] == [1, 0, 1]
    assert {job["idempotency_key"] for job in answer(rainbow("jobs", "--json"))["jobs"]} == {"a/1", "b/1"}


def test_a_changed_line_under_the_same_prefix_is_refused(rainbow: Run, jobs_file: JobsFile) -> None:
    rainbow("submit", "--file", jobs_file(GOOD), "--key-prefix", "mine")

    result = rainbow("submit", "--file", jobs_file({"command": "other"}), "--key-prefix", "mine")

    assert result.exit_code == 5
    assert "line 1: idempotency_key: another job was submitted under this key" in result.stderr
    assert "another --key-prefix submits new ones" in result.stderr


def test_refused_jobs_are_told_by_their_lines_and_keep_no_other_out(rainbow: Run, jobs_file: JobsFile) -> None:
    path = jobs_file(GOOD, b"\n", {"command": "a", "nodes": 0}, {"command": "b", "priority": 101}, GOOD)

    told = rainbow("submit", "--file", path)
    document = json.loads(rainbow("submit", "--file", path, "--json").stdout)

    assert told.exit_code == 5
    assert told.stderr.splitlines() == [
        "line 3: nodes: must be 1 to 2,147,483,647, not 0",
        "line 4: priority: must be -100 to 100, not 101",
    ]
    assert "Submitted 2 jobs" in told.stdout
    assert "2 were refused" in told.stdout
    assert (document["duplicates"], document["refused"]) == (2, 2)
    assert document["refusals"][0] == {
        "line": 3,
        "error": {"code": "INVALID_ARGUMENT", "field": "nodes", "message": "must be 1 to 2,147,483,647, not 0"},
    }


def test_a_script_gets_the_outcome_as_json_and_nothing_else(rainbow: Run, jobs_file: JobsFile) -> None:
    result = rainbow("submit", "--json", "--file", jobs_file(GOOD, {"command": "a", "nodes": 0}))

    keys = ["file", "cluster", "key_prefix", "jobs", "group", "submitted", "duplicates", "refused", "refusals"]
    assert list(json.loads(result.stdout)) == keys
    assert (result.exit_code, result.stderr) == (5, "")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"hostname\n", "is not JSON: Expecting value at column 1"),
        (b'{"command": "a"', "is not JSON: Expecting ',' delimiter at column 16"),
        (b"[]\n", "is not a JSON object"),
        (b"[" * 100_000, "is no job"),
        (b'{"command": "\xff"}\n', "is not UTF-8"),
        (b'{"command": "\\ud800"}\n', "cannot be sent"),
        (b"{}\n", "command: is missing"),
        (b'{"command": 1}\n', "command: must be a string"),
        (b'{"command": "a", "command": "b"}\n', "command: stands twice"),
        (b'{"command": "a", "node": 1}\n', "node: is unknown; the fields are command, name, nodes"),
        (b'{"command": "a", "nodes": "1"}\n', "nodes: must be a whole number of 32 bits"),
        (b'{"command": "a", "nodes": true}\n', "nodes: must be a whole number of 32 bits"),
        (b'{"command": "a", "nodes": 1.0}\n', "nodes: must be a whole number of 32 bits"),
        (b'{"command": "a", "nodes": 2147483648}\n', "nodes: must be a whole number of 32 bits"),
        (b'{"command": "a", "nodes": ' + b"9" * 5000 + b"}\n", "is no job"),
        (b'{"command": "a", "labels": {"a": 1}}\n', "labels: must be an object whose values are strings"),
        (b'{"command": "a", "exclusive": 1}\n', "exclusive: must be true or false"),
        (b'{"command": "a", "needs": "gpu"}\n', "needs: must be a list of strings"),
        (b'{"command": "a", "mounts": [1]}\n', "mounts: must be a list of strings"),
        *(
            (b'{"command": "a", "expires_at": ' + time + b"}\n", "expires_at: must be a time with its offset, such as ")
            for time in (b"1", b'"tomorrow"', b'"2026-12-01T12:00:00"', b"false")
        ),
        (b'{"command": "a", "on_lost": "never"}\n', "on_lost: must be keep or requeue"),
        (b'{"command": "' + b"a" * LONGEST_LINE + b'"}\n', "is longer than 1,048,576 bytes"),
        (b"x" * 3 * LONGEST_LINE, "is longer than 1,048,576 bytes"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else "",
)
def test_a_bad_line_is_told_by_its_number_and_nothing_is_submitted(
    rainbow: Run, jobs_file: JobsFile, line: bytes, complaint: str
) -> None:
    result = rainbow("submit", "--file", jobs_file(GOOD, b"\r\n", line))

    assert result.exit_code == 2
    assert f"line 3: {complaint}" in result.stderr.replace("this cannot", "cannot")
    assert "jobs.jsonl has 1 bad line; nothing was submitted" in result.stderr
    assert answer(rainbow("jobs", "--json"))["jobs"] == []


def test_lines_after_one_that_is_too_long_keep_their_numbers(rainbow: Run, jobs_file: JobsFile) -> None:
    result = rainbow("submit", "--file", jobs_file(b"x" * 3 * LONGEST_LINE + b"\n", b"y\n"))

    assert "line 1: is longer" in result.stderr
    assert "line 2: is not JSON" in result.stderr


def test_of_many_bad_lines_the_first_are_told(rainbow: Run, jobs_file: JobsFile) -> None:
    result = rainbow("submit", "--file", jobs_file(b"x\n" * 50))

    lines = result.stderr.splitlines()
    assert lines[19:] == [
        "line 20: is not JSON: Expecting value at column 1",
        "... and 30 more bad lines",
        f"Error: {jobs_file()} has 50 bad lines; nothing was submitted",
    ]


@pytest.mark.parametrize("content", [b"", b"\n \n"], ids=["empty", "only white space"])
def test_a_file_without_jobs_is_no_error(rainbow: Run, jobs_file: JobsFile, content: bytes) -> None:
    result = rainbow("submit", "--file", jobs_file(content))

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Submitted 0 jobs to ")


def test_standard_input_counts_as_the_file_of_the_same_content(rainbow: Run, jobs_file: JobsFile) -> None:
    piped = rainbow("submit", "--file", "-", "--json", input=GOOD * 3)

    again = answer(rainbow("submit", "--file", jobs_file(GOOD * 3), "--json"))

    assert answer(piped)["submitted"] == 3
    assert again["duplicates"] == 3
    assert again["key_prefix"] == answer(piped)["key_prefix"]


@pytest.mark.parametrize("source", ["pipe", "file"])
def test_a_token_may_stand_before_the_jobs_on_standard_input(
    rainbow: Run, jobs_file: JobsFile, remote: Remote, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.delenv("RAINBOW_TOKEN")
    content = remote.token.encode() + b"\n" + GOOD * 2
    words = [*MAIN, "submit", "--token", "-", "--file", "-"]

    if source == "pipe":
        done = subprocess.run(words, input=content, capture_output=True, check=False)
    else:
        with Path(jobs_file(content)).open("rb") as file:
            done = subprocess.run(words, stdin=file, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Submitted 2 jobs")


def test_a_pipe_with_a_name_is_read_as_well(rainbow: Run, remote: Remote) -> None:
    done = subprocess.run([*MAIN, "submit", "--file", "/dev/stdin"], input=GOOD * 2, capture_output=True, check=True)

    assert done.stdout.startswith(b"Submitted 2 jobs")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--file", "/none"], "cannot read /none: no such file or directory"),
        (["--file", "/"], "cannot read /: is a directory"),
        (["--file", "x", "--nodes", "2"], "each line says what its job is; leave out '-n' / '--nodes'"),
        (["--file", "x", "--wait"], "say what it is called by --group-name"),
        (["--file", "x", "--", "hostname"], "leave out '[-- WORD...]'"),
        (["--key-prefix", "x", "--", "hostname"], "--key-prefix needs --file"),
        (["--file", "", "--", "hostname"], "--file is empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_words_is_told(rainbow: Run, words: list[str], complaint: str) -> None:
    result = rainbow("submit", *words)

    assert result.exit_code == 2
    assert complaint in result.stderr


def test_a_terminal_gets_a_bar(rainbow: Run, jobs_file: JobsFile) -> None:
    shown, output = with_errors_at_terminal([*MAIN, "submit", "--file", jobs_file(*numbered(2000))], columns=120)

    assert "2,000 of 2,000 jobs" in without_controls(shown)
    assert "a second" in shown
    assert output.startswith(b"Submitted 2,000 jobs")


def test_elsewhere_a_line_tells_how_far_it_is_now_and_then() -> None:
    now, told = [0.0], list[str]()
    show = Lines(10_000, clock=lambda: now[0], tell=told.append)

    for done in range(0, 10_000, 500):
        show(done)
        now[0] += 3

    assert told[:2] == [
        "2,000 of 10,000 jobs, 167 a second, about 48s left",
        "4,000 of 10,000 jobs, 167 a second, about 36s left",
    ]
    assert len(told) == 4
