"""Fields with bad values: each is refused by name and range, and changes nothing."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from rainbow.protos import rainbow_pb2 as pb
from tests.support.servers import RainbowServer, on_h2corn
from tests.support.wire import (
    METHODS,
    Refusal,
    Remote,
    refusal_of,
    registration,
)

INT_MAX, INT_MIN = 2**31 - 1, -(2**31)


NASTY = "'; DROP TABLE jobs_job; --\" $(rm -rf /) `id` ${HOME} %s %(x)s {0} \\x00 \\ ../../etc | & ; > < * ? # ~ ! 🌈"


CONTROL = ["\0", "\x01", "\x1b[31m", "\x7f", "\x85", "\r"]


KEYS = "keys must be CLUSTER:OPTION, with one of the options account, partition, qos, reservation, constraint"
IMAGES = (
    "must be an OCI reference such as docker.io/library/debian:12, without a scheme, or the absolute path of a file,"
    " without .., white space, commas and colons"
)
MOUNTS = (
    "must be SOURCE:TARGET or SOURCE:TARGET:ro, both absolute paths below /, without .., commas, colons and control"
    " characters"
)
TERMS = (
    "terms must be NAME, !NAME, NAME=VALUE or NAME>=NUMBER; a name is 1 to 63 letters, digits, dots, underscores and"
    " hyphens, the first a letter; a number is up to 15 digits, or up to 9 with up to 6 decimals"
)


# Each field of a job: (its value, what the refusal says). SubmitJob and SubmitJobs hold to the same rules.
BAD_JOBS: list[tuple[str, Any, str]] = [
    ("name", "n" * 256, "must be at most 255 characters, not 256"),
    ("name", "two\nlines", "must not contain control characters"),
    *[("name", f"a{mark}b", "must not contain control characters") for mark in CONTROL],
    ("command", "", "must not be empty"),
    ("command", " \n\t ", "must not be empty"),
    ("command", "x" * 65_537, "must be at most 65,536 bytes, not 65,537"),
    *[("command", f"a{mark}b", "must not contain control characters other than tab and newline") for mark in CONTROL],
    ("nodes", 0, "must be 1 to 2,147,483,647, not 0"),
    ("nodes", INT_MIN, "must be 1 to 2,147,483,647, not -2,147,483,648"),
    ("tasks", -1, "must be 0 to 2,147,483,647, not -1"),
    ("time_limit_seconds", -1, "must be 0 to 31,536,000, not -1"),
    ("time_limit_seconds", 31_536_001, "must be 0 to 31,536,000, not 31,536,001"),
    ("priority", -101, "must be -100 to 100, not -101"),
    ("priority", 101, "must be -100 to 100, not 101"),
    ("priority", INT_MAX, "must be -100 to 100, not 2,147,483,647"),
    ("environment", {"A": "x" * 65_536}, "must be at most 65,536 bytes in all, not 65,537"),
    ("environment", {"A": "x" * 40_000, "B": "ä" * 15_000}, "must be at most 65,536 bytes in all, not 70,002"),
    ("environment", {"A": "a\0b"}, "values must not contain a null character"),
    *[
        ("environment", {name: "x"}, "names must be letters, digits and underscores, the first not a digit")
        for name in ("", "1A", "A=B", "A B", "A\n", "Ä", "A\0")
    ],
    ("working_directory", "relative/path", "must be an absolute path"),
    ("working_directory", "/" + "x" * 4_096, "must be at most 4,096 characters, not 4,097"),
    *[("working_directory", f"/a{mark}b", "must not contain control characters") for mark in CONTROL],
    ("labels", {f"key{number}": "" for number in range(33)}, "must be at most 32, not 33"),
    *[
        (
            "labels",
            {key: "x"},
            "keys must be 1 to 63 letters, digits, dots, underscores, slashes and hyphens, the first a letter or digit",
        )
        for key in ("", "-a", "a b", "a\n", "k" * 64, "ä", "a=b", "a\0")
    ],
    ("labels", {"a": "v" * 256}, "must be at most 255 characters, not 256"),
    *[("labels", {"a": f"b{mark}"}, "must not contain control characters") for mark in CONTROL],
    ("idempotency_key", "k" * 256, "must be at most 255 characters, not 256"),
    *[("idempotency_key", f"a{mark}b", "must not contain control characters") for mark in CONTROL],
    *[
        (name, number, f"must be 0 to {highest:,}, not {number:,}")
        for name, highest in (
            ("cores_per_task", 65_536),
            ("gpus_per_task", 1_024),
            ("memory_mib_per_node", 1_073_741_824),
        )
        for number in (-1, highest + 1, INT_MAX)
    ],
    ("gpu_type", "a100", "needs gpus_per_task"),
    *[
        (
            "gpu_type",
            name,
            "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit",
        )
        for name in ("-a100", "a 100", "a100\n", "a" * 64, "ä")
    ],
    *[
        case
        for name in ("account", "partition", "qos", "reservation", "constraint")
        for case in (
            (name, "x" * 256, "must be at most 255 characters, not 256"),
            (name, "a\n#SBATCH --uid=0", "must not contain control characters"),
            (name, "--wrap=id", "must not begin with a hyphen"),
        )
    ],
    ("options_by_cluster", {f"c{number}:qos": "" for number in range(65)}, "must be at most 64, not 65"),
    *[
        ("options_by_cluster", {key: "x"}, KEYS)
        for key in ("", "qos", ":qos", "a:", "a:nodes", "a:qos ", "-a:qos", "a:b:qos", "a" * 64 + ":qos")
    ],
    ("options_by_cluster", {"a:qos": "-x"}, "must not begin with a hyphen"),
    ("options_by_cluster", {"a:qos": "\0"}, "must not contain control characters"),
    ("options_by_cluster", {"a:qos": "x" * 256}, "must be at most 255 characters, not 256"),
    ("image", "x" * 1_025, "must be at most 1,024 characters, not 1,025"),
    *[
        ("image", name, IMAGES)
        for name in (
            *("-debian", "Debian", "docker://debian", "a b", "a/../b", "a//b", "debian:", "debian@sha256:12", "$(id)"),
            *(
                "relative.sif/",
                "/",
                "/a/../b.sif",
                "/a/./b.sif",
                "/a b.sif",
                "/a,b",
                "/a:b",
                "/a/",
                "/a//b",
                "../a.sif",
            ),
        )
    ],
    ("mounts", ["/a:/b"], "needs image"),
    ("mounts", ["/a:/b"] * 33, "must be at most 32, not 33"),
    ("mounts", ["/" + "x" * 16_384 + ":/b"], "must be at most 16,384 bytes in all, not 16,388"),
    *[
        ("mounts", ["/a:/b", mount], MOUNTS)
        for mount in (
            *("", "/a", "/a:", ":/b", "a:/b", "/a:b", "/a:/b:rw", "/a:/b:ro:ro", "/a:/b,ro", "/:/b", "/a:/", "/a:/b\n"),
            *("/a/../b:/c", "/a:/b/..", "/./a:/b", "/a/:/b", "/a//b:/c", "-v/a:/b"),
        )
    ],
    *[
        ("start_within_seconds", number, f"must be 60 to 31,536,000, not {number:,}")
        for number in (-1, 1, 59, 31_536_001, INT_MAX)
    ],
    ("clusters", ["a"] * 101, "must be at most 100, not 101"),
    ("clusters", [""], "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit"),
    ("clusters", ["nosuch"], "jobs submitted here may not go to 'nosuch'"),
    ("spill_after_seconds", 1, "needs clusters"),
    *[("spill_after_seconds", number, f"must be 0 to 86,400, not {number:,}") for number in (-1, 86_401, INT_MAX)],
    ("expires_at", Timestamp(seconds=2**60), "must be a time of the years 1 to 9999"),
    *[
        ("expires_at", Timestamp(seconds=seconds), "must be in the future, at most 365 days ahead")
        for seconds in (0, 1_700_000_000, 200_000_000_000)
    ],
    ("needs", ["a"] * 33, "must be at most 32, not 33"),
    *[("needs", ["gpu", need], TERMS) for need in ("", "!", "a b", "a>1", "a>=x", "!a=b", "1a", "-a", "a<=3")],
    ("needs", ["a="], "must not be empty"),
    ("needs", ["a=\0"], "must not contain control characters"),
    ("needs", ["a=" + "x" * 256], "must be at most 255 characters, not 256"),
    ("on_lost", 3, "must be one of 0, 1, 2, not 3"),
    ("on_lost", -1, "must be one of 0, 1, 2, not -1"),
]


# The other calls: (call, the fields of its request, the field at fault, what the refusal says).
BAD_REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("RequestJobs", {"wait_seconds": -1}, "wait_seconds", "must be 0 to 300, not -1"),
    ("RequestJobs", {"wait_seconds": 301}, "wait_seconds", "must be 0 to 300, not 301"),
    ("RequestJobs", {"max_nodes": -1}, "max_nodes", "must be 0 to 2,147,483,647, not -1"),
    ("RequestJobs", {"max_tasks": -1}, "max_tasks", "must be 0 to 2,147,483,647, not -1"),
    (
        "RequestJobs",
        {"max_time_limit_seconds": INT_MIN},
        "max_time_limit_seconds",
        "must be 0 to 2,147,483,647, not -2,147,483,648",
    ),
    ("RequestJobs", {"labels": {f"k{n}": "" for n in range(33)}}, "labels", "must be at most 32, not 33"),
    ("RequestJobs", {"labels": {"a": "\0"}}, "labels", "must not contain control characters"),
    ("AcceptJobs", {"jobids": range(1, 50_002)}, "jobids", "must be at most 50,000 ids, not 50,001"),
    ("AcceptJobs", {"jobids": [1], "agent": "a" * 256}, "agent", "must be at most 255 characters, not 256"),
    ("AcceptJobs", {"jobids": [1], "agent": "a\0"}, "agent", "must not contain control characters"),
    ("AcceptJobs", {"jobids": [1], "lease_seconds": 60}, "lease_seconds", "needs an agent's name"),
    *[
        (
            "AcceptJobs",
            {"jobids": [1], "agent": "a", "lease_seconds": seconds},
            "lease_seconds",
            f"must be 10 to 86,400, not {seconds:,}",
        )
        for seconds in (-1, 9, 86_401, INT_MIN)
    ],
    ("SubmitJobs", {}, "jobs", "must be 1 to 10,000, not 0"),
    ("GetJobs", {}, "jobids", "must be 1 to 1,000 ids, not 0"),
    ("GetJobs", {"jobids": range(1_001)}, "jobids", "must be 1 to 1,000 ids, not 1,001"),
    ("ListJobs", {"states": [0]}, "states", "must be one of 1, 2, 3, 4, 5, 6, 7, 8, not 0"),
    ("ListJobs", {"states": [1, 9]}, "states", "must be one of 1, 2, 3, 4, 5, 6, 7, 8, not 9"),
    ("ListJobs", {"name": "n" * 256}, "name", "must be at most 255 characters, not 256"),
    ("ListJobs", {"name": "a\0"}, "name", "must not contain control characters"),
    ("ListJobs", {"labels": {"": "x"}}, "labels", "keys must be 1 to 63"),
    ("ListJobs", {"labels": {"a": "\0"}}, "labels", "must not contain control characters"),
    ("ListJobs", {"page_size": -1}, "page_size", "must be 0 to 1,000, not -1"),
    ("ListJobs", {"page_size": 1_001}, "page_size", "must be 0 to 1,000, not 1,001"),
    *[
        ("ListJobs", {"page_token": token}, "page_token", "must be the next_page_token of an earlier answer")
        for token in ("x", "-1", "1.5", "1 OR 1=1", "\u0661", "1\0", "9" * 11, "9" * 5_000)
    ],
    ("CancelJobs", {}, "jobids", "must be 1 to 10,000 ids, not 0"),
    ("CancelJobs", {"jobids": range(10_001)}, "jobids", "must be 1 to 10,000 ids, not 10,001"),
    ("CancelJobs", {"jobids": [1], "reason": "r" * 1_001}, "reason", "must be at most 1,000 characters, not 1,001"),
    ("CancelJobs", {"jobids": [1], "reason": "a\0"}, "reason", "must not contain control characters"),
    ("SignalJobs", {"signal": "USR1"}, "jobids", "must be 1 to 1,000 ids, not 0"),
    ("SignalJobs", {"jobids": range(1_001), "signal": "USR1"}, "jobids", "must be 1 to 1,000 ids, not 1,001"),
    ("SignalJobs", {"jobids": [1], "signal": "KILL"}, "signal", "must be one of HUP, INT"),
    ("AwaitWishes", {"agent": "login1", "wait_seconds": 301}, "wait_seconds", "must be 0 to 300, not 301"),
    ("AwaitWishes", {"agent": "login1", "wait_seconds": -1}, "wait_seconds", "must be 0 to 300, not -1"),
    ("AwaitWishes", {}, "agent", "must not be empty"),
    ("AwaitWishes", {"agent": "~olga/x"}, "agent", "must not begin with ~"),
    ("AwaitWishes", {"agent": "a\0"}, "agent", "must not contain control characters"),
    ("AwaitWishes", {"agent": "a" * 256}, "agent", "must be at most 255 characters, not 256"),
    ("GetInput", {"agent": "a\0", "jobid": 1}, "agent", "must not contain control characters"),
    ("GetInput", {"agent": "a", "jobid": 1, "sha256": "a\0"}, "sha256", "must not contain control characters"),
    ("AwaitWishes", {"agent": "a", "done": [{"id": id} for id in range(1_001)]}, "done", "must be at most 1,000"),
    ("AwaitWishes", {"agent": "a", "done": [{"id": 1, "error": "a\0"}]}, "error", "must not contain control"),
    ("RotateCredential", {}, "kind", "must be one of 1, 2, not 0"),
    ("RotateCredential", {"kind": 3}, "kind", "must be one of 1, 2, not 3"),
    ("RotateCredential", {"kind": 1, "grace_seconds": -1}, "grace_seconds", "must be 0 to 604,800"),
    ("RotateCredential", {"kind": 1, "grace_seconds": 604_801}, "grace_seconds", "must be 0 to 604,800"),
    ("RotateCredential", {"kind": 1, "grace_seconds": INT_MAX}, "grace_seconds", "must be 0 to 604,800"),
    ("RotateCredential", {"kind": 1, "label": "l" * 64}, "label", "must be at most 63 characters, not 64"),
    ("RotateCredential", {"kind": 1, "label": "a\0"}, "label", "must not contain control characters"),
]


def numbered(cases: Sequence[Any], name: Callable[[Any], str]) -> list[Any]:
    """The cases with names that can be read: the values are long or not printable."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else [case]), id=f"{name(case)}-{number}")
        for number, case in enumerate(cases)
    ]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(("field", "value", "text"), numbered(BAD_JOBS, lambda case: case[0]))
def test_a_job_with_a_bad_field_is_refused_by_its_name_and_range(
    remote: Remote, field: str, value: Any, text: str
) -> None:
    refusal = refusal_of(remote.stub.SubmitJob, remote.submission(**{field: value}))
    (result,) = remote.submit_many(pb.JobSpec(**{"nodes": 1, "command": "x", field: value})).results

    assert refusal == Refusal(code=grpc.StatusCode.INVALID_ARGUMENT, text=f"{field}: {text}", field=field)
    assert (result.error.code, result.error.field, result.error.message) == ("INVALID_ARGUMENT", field, text)
    assert result.jobid == 0


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    ("call", "fields", "field", "text"), numbered(BAD_REQUESTS, lambda case: f"{case[0]}-{case[2]}")
)
def test_a_request_with_a_bad_field_is_refused_by_its_name_and_range(
    remote: Remote, call: str, fields: dict[str, Any], field: str, text: str
) -> None:
    request = GetMessageClass(METHODS[call].input_type)(cluster=remote.name, **fields)
    by = remote.by_token if call == "SubmitJobs" else remote.by_secret

    refusal = refusal_of(getattr(remote.stub, call), request, metadata=by)

    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert refusal.text.startswith(f"{field}: {text}")


GREATEST: list[dict[str, Any]] = [
    {"name": "n" * 255},
    {"name": "ä" * 255},
    {"command": "x" * 65_536},
    {"command": "a\tb\nc"},
    {"nodes": INT_MAX, "tasks": INT_MAX},
    {"time_limit_seconds": 31_536_000, "priority": 100},
    {"priority": -100},
    {"environment": {"A": "x" * 65_535}},
    {"environment": {"_a1": "two\nlines\x1b\r", "EMPTY": ""}},
    {"working_directory": "/" + "x" * 4_095},
    {"labels": {f"{number:03}" + "k" * 60: "v" * 255 for number in range(32)}},
    {"labels": {"a/b.c_d-e": "ümläut 🌈"}},
    {"idempotency_key": "k" * 255},
]


@pytest.mark.parametrize("fields", numbered(GREATEST, "-".join))
def test_the_longest_and_the_largest_of_every_field_is_taken_and_given_back(
    remote: Remote, fields: dict[str, Any]
) -> None:
    job_id = remote.submit(**{"command": "x", **fields}).jobid

    job, line = remote.job(job_id), json.loads(remote.request().jobs[job_id])

    for name, value in fields.items():
        shown = getattr(job, name)
        assert (dict(shown) if isinstance(value, dict) else shown) == value
        assert line.get(name, value) == value


def test_what_means_something_to_sql_or_a_shell_is_given_back_as_it_came(remote: Remote, server: RainbowServer) -> None:
    fields: dict[str, Any] = {
        "name": NASTY,
        "command": NASTY + "\n" + NASTY,
        "environment": {"PATH": NASTY},
        "working_directory": "/" + NASTY,
        "labels": {"a": NASTY},
        "idempotency_key": NASTY,
    }

    job_id = remote.submit(**fields).jobid
    again = remote.submit(**fields)
    by_label = remote.request(labels={"a": NASTY})
    by_name = remote.stub.ListJobs(pb.ListJobsRequest(name=NASTY, labels={"a": NASTY}), metadata=remote.by_token)
    remote.accept(job_id, agent=NASTY)
    remote.stub.CancelJobs(pb.CancelJobsRequest(jobids=[job_id], reason=NASTY), metadata=remote.by_secret)

    line, job = json.loads(by_label.jobs[job_id]), remote.job(job_id)
    assert again.duplicate
    assert [job.id for job in by_name.jobs] == [job_id]
    assert {name: line[name] for name in fields if name in line} == {
        name: value for name, value in fields.items() if name != "idempotency_key"
    }
    assert (job.name, job.command, dict(job.environment)) == (NASTY, fields["command"], fields["environment"])
    assert (job.agent, job.reason, job.idempotency_key) == (NASTY, NASTY, NASTY)
    assert NASTY not in server.log.read_text()


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "value", [NASTY.replace("🌈", ""), "%00", "x" * 4_096, "' OR '1'='1"], ids=["marks", "percent", "long", "sql"]
)
def test_an_odd_credential_is_denied_like_any_other(remote: Remote, server: RainbowServer, value: str) -> None:
    stub, denied = remote.stub, Refusal(code=grpc.StatusCode.UNAUTHENTICATED, text="request denied", field="")

    assert refusal_of(stub.Register, registration(server, secret=value)) == denied
    assert refusal_of(stub.SubmitJob, remote.submission(token=value)) == denied
    assert refusal_of(stub.SubmitJob, remote.submission(cluster=value)) == denied
    assert refusal_of(stub.RequestJobs, pb.RequestJobsRequest(cluster=remote.name, secret=value)) == denied
    by_header = refusal_of(stub.ListJobs, pb.ListJobsRequest(), metadata=(("authorization", f"Bearer {value}"),))
    # h2corn resets a call with blanks at the end of a header's value, which RFC 9113, section 8.2.1, does not allow.
    is_header = value == value.strip()
    assert by_header == denied if is_header or not on_h2corn() else by_header.code == grpc.StatusCode.INTERNAL
