"""The rules for a job, on both sides of the wire: what a server refuses, an agent refuses, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters import validation
from jobs import leases, reports, signals, spec_rules, specs
from jobs.specs import JobSpec, check_spec
from rainbow import leases as rainbow_leases
from rainbow import records, rules
from rainbow import signals as rainbow_signals
from rainbow import spec_rules as rainbow_spec_rules
from rainbow import specs as rainbow_specs
from rainbow.agent import job_reports
from rainbow.errors import InvalidArgument
from rainbow.specs import check_attempt
from tests.support.hostile import FIELDS, WORDS, any_specs

# The names of the limits that the two sides share.
LIMITS = ("MAX_INT", "MAX_NAME", "MAX_COMMAND_BYTES", "MAX_ENVIRONMENT_BYTES", "MAX_LABELS", "MAX_LABEL_VALUE",
          "MAX_PATH", "MAX_PRIORITY", "MAX_TIME_LIMIT_SECONDS")  # fmt: skip
FURTHER_LIMITS = ("MAX_CORES_PER_TASK", "MAX_GPUS_PER_TASK", "MAX_MEMORY_MIB_PER_NODE", "MIN_START_WITHIN_SECONDS",
                  "MAX_START_WITHIN_SECONDS", "MAX_OPTION",
                  "MAX_OPTIONS_BY_CLUSTER", "MAX_IMAGE", "MAX_MOUNTS", "MAX_MOUNTS_BYTES", "MAX_NEEDS",
                  "MAX_SECRETS", "OWN_VARIABLES", "MAX_FILES", "MAX_FILE_NAME", "MAX_FILE_PART",
                  "MAX_INPUTS_BYTES", "MAX_INPUT_URL", "INPUT_URL")  # fmt: skip
EDGES: list[tuple[str, Any]] = [
    ("name", "n" * 255),
    ("name", "n" * 256),
    ("command", "é" * 32_768),
    ("command", "é" * 32_768 + "x"),
    ("command", "\t\n x"),
    ("command", " \t\n"),
    ("nodes", 2**31 - 1),
    ("tasks", 0),
    ("priority", -100),
    ("time_limit_seconds", 31_536_000),
    ("environment", {"A": "x" * 65_535}),
    ("environment", {"A": "x" * 65_536}),
    ("environment", {"A": "a\x1b\n\tb"}),
    ("environment", {"_": "\0"}),
    *(("environment", {name: "1"}) for name in sorted(spec_rules.OWN_VARIABLES)),
    ("environment", {"RAINBOW_MINE": "1"}),
    ("working_directory", "/" + "x" * 4_095),
    ("working_directory", "/" + "x" * 4_096),
    ("working_directory", "relative"),
    ("labels", {str(number): "" for number in range(32)}),
    ("labels", {str(number): "" for number in range(33)}),
    ("labels", {"k" * 63: "v" * 255}),
    ("labels", {"k" * 64: "v"}),
    ("labels", {"k": "v" * 256}),
    ("cores_per_task", 65_537),
    ("gpus_per_task", 1_025),
    ("memory_mib_per_node", 2**30),
    ("memory_mib_per_node", 2**30 + 1),
    ("constraint", "é" * 255),
    ("constraint", "é" * 256),
    ("options_by_cluster", {f"c{number}:qos": "" for number in range(64)}),
    ("options_by_cluster", {f"c{number}:qos": "" for number in range(65)}),
    ("options_by_cluster", {f"{'c' * 63}:qos": "v" * 255}),
    ("options_by_cluster", {f"{'c' * 64}:qos": ""}),
    ("options_by_cluster", {"c:qos": "v" * 256}),
    ("options_by_cluster", {"c:qos": "-v"}),
    ("options_by_cluster", {"c:qos\n": "v"}),
    ("image", "/" + "x" * 1_023),
    ("image", "/" + "x" * 1_024),
    *(("start_within_seconds", seconds) for seconds in (0, 1, 59, 60, 31_536_000, 31_536_001)),
    ("secrets", {f"A{number}": "site:x" for number in range(32)}),
    ("secrets", {f"A{number}": "site:x" for number in range(33)}),
    *(
        ("input_urls", {"a": f"{url}#sha256={digest}"})
        for url, digest in (
            ("https://example.org", "0" * 64),
            ("https://example.org?x=1", "0" * 64),
            ("http://[::1]:8443/a/b?c=d&e=%20", "0" * 64),
            (f"https://example.org/{'x' * 1_958}", "0" * 64),
            (f"https://example.org/{'x' * 1_959}", "0" * 64),
            ("https://example.org/", "0" * 63),
            ("https://example.org/", "A" * 64),
            ("https://example.org/a#b", "0" * 64),
            ("https://user:pass@example.org/", "0" * 64),
            ("https://example.org\\@x/", "0" * 64),
            ("ftp://example.org/", "0" * 64),
            ("file:///etc/passwd", "0" * 64),
            ("https:///x", "0" * 64),
            ("https://example.org/a b", "0" * 64),
            ("https://example.org/é", "0" * 64),
            ("https://example.org/\n", "0" * 64),
        )
    ),
    *(
        ("inputs", {name: "0" * 64})
        for name in (
            *(
                "a",
                "a/b/c",
                "é" * 127,
                "é" * 128,
                "a" * 255,
                "a" * 256,
                ".a",
                "a..",
                "...",
                "-a",
                "a b",
                "a:b",
                "~",
                "a\\b",
            ),
            *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "./a", "a/./b", "a\n", "a\0b", "\x7f"),
            *("/".join("a" * 16), "/".join("a" * 17), "\udcff", "\u202e", "/".join(["a" * 255] * 5)),
        )
    ),
    *(("outputs", (name,)) for name in ("*", "a/*.csv", "a/[", "../*", "/a", "*/", "a\n", "a//b", "é" * 128)),
    ("outputs", ("a", "a/b")),
    ("outputs", ("a",) * 64),
    ("outputs", ("a",) * 65),
    ("inputs", {"a": "0" * 63}),
    ("inputs", {"a": "A" * 64}),
    ("inputs", {"a": "0" * 64 + "\n"}),
    ("inputs", {"a": "0" * 64, "a/b": "0" * 64}),
    ("inputs", {"a/b": "0" * 64, "a/b/c/d": "0" * 64}),
    ("inputs", {"a/b": "0" * 64, "a/c": "0" * 64}),
    ("inputs", {str(number): "0" * 64 for number in range(64)}),
    ("inputs", {str(number): "0" * 64 for number in range(65)}),
    ("secrets", {"A": "x"}),
    ("secrets", {"A": "site:"}),
    ("secrets", {"A": f"site:{'x' * 63}"}),
    ("secrets", {"A": f"site:{'x' * 64}"}),
    ("secrets", {"A": "site:x\n"}),
    ("secrets", {"A=B": "site:x"}),
    ("secrets", {"A" * 256: "site:x"}),
    ("secrets", {"RAINBOW_JOB_ID": "site:x"}),
    ("needs", ("x",) * 32),
    ("needs", ("x",) * 33),
    ("needs", ("x=" + "v" * 255,)),
    ("needs", ("x=" + "v" * 256,)),
]
MOUNT = "/" + "s" * 254 + ":/" + "t" * 255  # 512 bytes
# Fields that need another, with it.
PAIRED: list[dict[str, Any]] = [
    {"gpu_type": "a" * 63, "gpus_per_task": 1},
    {"gpu_type": "a" * 64, "gpus_per_task": 1},
    {"image": "debian", "mounts": (MOUNT,) * 32},
    {"image": "debian", "mounts": (*(MOUNT,) * 31, MOUNT + "t")},
    {"image": "debian", "mounts": ("/s:/t",) * 33},
    *({"image": "debian", "mounts": (word,)} for word in WORDS),
]


def offered(**fields: Any) -> records.WaitingJob:
    return records.WaitingJob(
        **{"id": 1, "cluster": "alpha", "name": "", "nodes": 1, "tasks": 0, "command": "true", **fields}
    )


def refusal(check: Callable[[], object]) -> tuple[str, str] | None:
    try:
        check()
    except InvalidArgument as error:
        return error.field, error.message
    return None


def by_the_server(**fields: Any) -> tuple[str, str] | None:
    return refusal(lambda: check_spec(JobSpec(**{"command": "true", **fields})))


def check_offer(job: records.WaitingJob) -> None:
    check_attempt(job, jobid=job.id, attempt=job.attempt)


def by_the_agent(**fields: Any) -> tuple[str, str] | None:
    return refusal(lambda: check_offer(offered(**fields)))


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_of_each_field_both_sides_say_the_same(name: str, data: st.DataObject) -> None:
    value = data.draw(FIELDS[name])

    assert by_the_agent(**{name: value}) == by_the_server(**{name: value})


@pytest.mark.parametrize(("name", "value"), EDGES)
def test_at_the_edges_both_sides_say_the_same(name: str, value: Any) -> None:
    assert by_the_agent(**{name: value}) == by_the_server(**{name: value})


@given(spec=any_specs)
def test_both_sides_refuse_the_same_jobs(spec: dict[str, Any]) -> None:
    assert (by_the_agent(**spec) is None) == (by_the_server(**spec) is None)


def test_the_limits_are_the_same() -> None:
    assert [getattr(rainbow_specs, name) for name in LIMITS] == [getattr(specs, name) for name in LIMITS]
    assert [getattr(rainbow_spec_rules, name) for name in FURTHER_LIMITS] == [
        getattr(spec_rules, name) for name in FURTHER_LIMITS
    ]


@pytest.mark.parametrize("fields", PAIRED)
def test_of_fields_that_need_another_both_sides_say_the_same(fields: dict[str, Any]) -> None:
    assert by_the_agent(**fields) == by_the_server(**fields)


def test_leases_are_the_same() -> None:
    lengths = ("MIN_SECONDS", "MAX_SECONDS", "DEFAULT_SECONDS")

    assert [getattr(rainbow_leases, name) for name in lengths] == [getattr(leases, name) for name in lengths]


def test_a_line_and_lines_are_the_same_on_both_sides() -> None:
    for number in (*range(0x3000), *range(0xD7FF, 0xE002), 0xFEFF, 0xFFFE, 0x1F308, 0x10FFFF):
        line, lines = chr(number), f"x{chr(number)}"
        server = refusal(lambda line=line: validation.check_line(line, field="name", longest=9))
        assert refusal(lambda line=line: rules.check_line(line, field="name", longest=9)) == server
        assert by_the_agent(command=lines) == by_the_server(command=lines)


@pytest.mark.parametrize("wrong", [{"id": 0}, {"id": -1}, {"id": 2**31}, {"attempt": 0}, {"attempt": 2**31}])
def test_what_the_server_adds_to_a_job_has_its_range(wrong: dict[str, int]) -> None:
    refused = by_the_agent(**wrong)

    assert refused and refused[0] == next(iter(wrong))


def test_a_reason_that_an_agent_gives_fits_the_servers_rule() -> None:
    assert job_reports.LONGEST_REASON == reports.MAX_REASON_BYTES
    assert job_reports.CONTROL.pattern == validation._CONTROL_IN_LINES.pattern


def test_both_sides_know_the_same_signals() -> None:
    assert signals.SIGNALS == rainbow_signals.SIGNALS
