"""`rainbow sbatch`: what it makes of scripts and options. tests/data/sbatch has 43 scripts with what they become."""

import json
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from rainbow import config
from rainbow.arrays import array_in
from rainbow.cli import main
from rainbow.errors import InvalidArgument
from rainbow.slurm_commands.batch_script import batch_script, wrapped
from rainbow.slurm_commands.command_line import Option, Takes, parse
from rainbow.slurm_commands.durations import brief_clock, clock, seconds_of_clock
from rainbow.slurm_commands.exports import exported
from rainbow.slurm_commands.job_ids import JobRef, job_ref, job_refs
from rainbow.slurm_commands.layers import asked
from rainbow.slurm_commands.sacct_format import columns
from rainbow.slurm_commands.sacct_times import time_in
from rainbow.slurm_commands.sbatch_options import OPTIONS, Fate
from rainbow.slurm_commands.waiting_tasks import spelled
from rainbow.states import JobState
from rainbow.terminal.slurm_jobs import of_caller, selected, selection
from rainbow.terminal.types import Span
from tests.support.servers import ROOT

DATA = Path(__file__).parent / "data" / "sbatch"
SCRIPTS = sorted(path.stem for path in DATA.glob("*.sh"))
ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": "/home/ada",
    "LONG_NAME": "1",
    "MY_API_TOKEN": "s",
    "SLURM_CONF": "/etc/slurm.conf",
    "BASH_FUNC_ml%%": "() { :; }",
}
MANUAL = ROOT / "docs" / "sbatch.md"
ROW = re.compile(
    r"^\| `(?P<option>[^`]+)` \| (?P<fate>[a-z ]+) \| (?P<text>.+?) \| (?:`(?P<variable>\w+)`)? ?\|$", re.MULTILINE
)
FLAGS = [Option(name="nodes", short="N"), Option(name="wait", short="W", takes=Takes.NOTHING), Option(name="wckey"),
         Option(name="nice", takes=Takes.PERHAPS)]  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    variables = dict(ENVIRONMENT)
    monkeypatch.setattr(config, "environment", lambda: variables)
    return variables


def sbatch(*words: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["sbatch", "--test-only", *words], input=stdin)


def job_of(*words: str, stdin: bytes | None = None) -> Any:
    result = sbatch(*words, stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_there_are_forty_scripts_and_more() -> None:
    assert len(SCRIPTS) >= 40
    assert {path.stem for path in DATA.glob("*.json")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_becomes_a_job_or_is_refused_by_name(name: str) -> None:
    expected = json.loads((DATA / f"{name}.json").read_text())

    result = sbatch(*expected.get("options", []), str(DATA / f"{name}.sh"), *expected.get("arguments", []))

    assert (result.exit_code, result.stderr.splitlines()) == (expected["exit_code"], expected.get("told", []))
    if result.exit_code == 0:
        job = json.loads(result.stdout)
        assert list(job.pop("inputs")) == ["slurm_script"]
        assert {**job, "command": job["command"].splitlines()} == expected["job"]


def test_the_manual_says_of_each_option_what_becomes_of_it() -> None:
    rows = {found["option"]: found for found in ROW.finditer(MANUAL.read_text())}

    assert {name: (found["fate"], found["text"], found["variable"] or "") for name, found in rows.items()} == {
        option.spelled: (str(option.fate), option.text, option.variable) for option in OPTIONS
    }


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.fate is Fate.REFUSED], ids=lambda o: o.name)
def test_what_has_no_meaning_here_is_refused_by_its_name(option: Any) -> None:
    value = "" if option.takes is not Takes.VALUE else "=1"

    result = sbatch(f"--{option.name}{value}", "--wrap", "true")

    assert result.exit_code == 2
    assert result.stderr == f"Error: {option.spelled} cannot be translated: {option.text}\n"


def test_the_command_line_goes_before_variables_and_they_before_the_script(environment: dict[str, str]) -> None:
    script = b"#!/bin/sh\n#SBATCH -A script -p script -q script\n"
    environment |= {"SBATCH_ACCOUNT": "variable", "SBATCH_PARTITION": "variable", "SBATCH_QOS": ""}

    job = job_of("-A", "typed", stdin=script)

    assert [job[name] for name in ("account", "partition", "qos")] == ["typed", "variable", "script"]


def test_memory_said_otherwise_in_a_nearer_place_replaces_it() -> None:
    said = asked(typed=[("mem-per-cpu", "1G")], environment={}, in_script=["--mem=64G"])

    assert said.options == {"mem-per-cpu": "1G"}


def test_a_variable_that_belongs_to_no_option_is_warned_of(environment: dict[str, str]) -> None:
    environment["SBATCH_ACOUNT"] = "physics"

    result = sbatch("--wrap", "true")

    assert result.stderr == "Warning: SBATCH_ACOUNT is left out: no option of sbatch has this variable\n"


def test_a_script_comes_from_standard_input() -> None:
    job = job_of(stdin=b"#!/bin/bash\n#SBATCH -N 3\nsrun hostname\n")

    assert (job["name"], job["nodes"]) == ("sbatch", 3)


def test_a_wrapped_command_takes_no_script() -> None:
    assert job_of("--wrap", "echo hi")["name"] == "wrap"
    assert "leave out the script" in sbatch("--wrap", "echo hi", "script.sh").stderr


def test_the_scripts_own_options_are_not_sbatchs(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\n")

    job = job_of("-n", "2", str(script), "-n", "9", "--no-such-option")

    assert job["tasks"] == 2
    assert job["command"].endswith("slurm_script -n 9 --no-such-option")


def test_options_of_rainbow_go_with_those_of_sbatch(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("1")

    job = job_of(
        *("--need", "gpus>=4", "--label", "a=b", "--comment", "c", "--input-file", f"in/d.csv={data}"),
        *("--output-files", "*.png", "-o", "out.txt", "--wrap", "true"),
    )

    assert (job["needs"], job["labels"]) == (["gpus>=4"], {"comment": "c", "a": "b"})
    assert (list(job["inputs"]), job["outputs"]) == (["in/d.csv", "slurm_script"], ["out.txt", "*.png"])


@pytest.mark.parametrize(
    ("words", "said", "left"),
    [
        (["-N2", "-W", "script"], [("nodes", "2"), ("wait", "")], ["script"]),
        (["-WN", "2"], [("wait", ""), ("nodes", "2")], []),
        (["--nodes", "2", "--nice", "5"], [("nodes", "2"), ("nice", "")], ["5"]),
        (["--nice=5", "--no=3"], [("nice", "5"), ("nodes", "3")], []),
        (["--", "-N2"], [], ["-N2"]),
        (["-", "-N2"], [], ["-", "-N2"]),
    ],
)
def test_options_are_read_as_getopt_reads_them(words: list[str], said: list[tuple[str, str]], left: list[str]) -> None:
    assert parse(words, FLAGS) == (said, left)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--wait=1"], "--wait takes no value"),
        (["--nodes"], "--nodes needs a value"),
        (["-N"], "-N needs a value"),
        (["--n=1"], "--n could be --nodes, --nice"),
        (["--nodse", "1"], "there is no option --nodse; did you mean --nodes?"),
        (["-x"], "there is no option -x"),
    ],
)
def test_other_words_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{re.escape(complaint)}$"):
        parse(words, FLAGS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1800),
        ("30:15", 1815),
        ("1:02:03", 3723),
        ("1-2", 93_600),
        ("1-02:03", 93_780),
        ("1-02:03:04", 93_784),
        ("1h", None),
        ("1-", None),
        ("1:2:3:4", None),
        ("", None),
    ],
)
def test_time_is_read_as_slurm_writes_it(text: str, seconds: int | None) -> None:
    assert seconds_of_clock(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "told", "told_in_brief"),
    [
        (0, "00:00:00", "0:00"),
        (3723, "01:02:03", "1:02:03"),
        (93_784, "1-02:03:04", "1-02:03:04"),
        (-5, "00:00:00", "0:00"),
    ],
)
def test_spans_are_told_as_slurm_tells_them(seconds: int, told: str, told_in_brief: str) -> None:
    span = timedelta(seconds=seconds)

    assert (clock(span), brief_clock(span)) == (told, told_in_brief)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", "2026-11-28T12:30:00"),
        ("now-2days", "2026-11-26T12:30:00"),
        ("now-90", "2026-11-28T12:28:30"),
        ("now+1hour", "2026-11-28T13:30:00"),
        ("today", "2026-11-28T00:00:00"),
        ("08:15", "2026-11-28T08:15:00"),
        ("2026-11-01", "2026-11-01T00:00:00"),
        ("2026-11-01T07:00", "2026-11-01T07:00:00"),
        ("11/02/26", "2026-11-02T00:00:00"),
    ],
)
def test_times_are_read_as_sacct_takes_them(text: str, at: str) -> None:
    now = datetime.fromisoformat("2026-11-28T12:30:00").astimezone()

    assert time_in(text, now=now).strftime("%Y-%m-%dT%H:%M:%S") == at


@pytest.mark.parametrize(
    "text", ["", "yesterday", "now-2fortnights", "now-", "25:00", "2026-13-01", "now-999999999weeks"]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        time_in(text, now=datetime.now().astimezone())


def test_ids_name_jobs_arrays_and_tasks() -> None:
    """A task by the array's id, or by that of its group."""
    assert job_refs("12,3000000007,3000000007_3,3000000007_[1-3,5],7_4,7_[0-6:3%2]") == [
        JobRef(jobid=12),
        JobRef(group=7),
        JobRef(group=7, indexes=frozenset({3})),
        JobRef(group=7, indexes=frozenset({1, 2, 3, 5})),
        JobRef(group=7, indexes=frozenset({4})),
        JobRef(group=7, indexes=frozenset({0, 3, 6})),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "0", "x", "2147483648", "3000000000", "9999999999", "12.batch", "-1", "12_", "_3", "0_3", "12_x", "12_1-3",
     "12_[", "12_[]", "12_[5", "12_[5-1]", "12_[1-3]x", "12_[1-3%]", "12_[1-3%0]", "12_[0-200000]", "12_9999999999"],
)  # fmt: skip
def test_other_ids_are_refused_as_they_were_written(text: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(repr(text))):
        job_ref(text)


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ([5], "5"),
        ([5, 7], "5,7"),
        (range(2, 10), "2-9"),
        (range(0, 101, 3), "0-99:3"),
        ([0, 1, 3, 4, 5], "0-1,3-5"),
        (range(1, 400, 2), "1-399:2"),
        (range(1, 6, 2), "1,3,5"),
        ([5, 70], "5,70"),
    ],
)
def test_indexes_are_written_as_slurm_writes_them(indexes: Sequence[int], text: str) -> None:
    assert spelled(list(indexes)) == text
    assert array_in(text).indexes == tuple(indexes)


def test_an_empty_standard_input_is_said_to_have_been_read() -> None:
    result = sbatch(stdin=b"")

    assert result.exit_code == 2
    assert "no script was named, so standard input was read, and it is empty" in result.stderr


@pytest.mark.parametrize("line", [b"#!", b"#!  ", b"# !/bin/sh", b"", b"\x7fELF"])
def test_what_is_no_script_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidArgument, match="this is no batch script"):
        batch_script(line + b"\necho hi\n")


@pytest.mark.parametrize(
    "name", ["$(touch owned)", "`touch owned`", "a'b", 'a"b', "%x;touch owned", "--help", "a\\nb", "ü %"]
)
def test_no_name_of_a_job_or_file_is_run_by_the_shell(name: str, tmp_path: Path) -> None:
    job = job_of("-J", name, "-o", f"{name}.%x", "--wrap", "echo ran")
    (tmp_path / "slurm_script").write_text("#!/bin/sh\necho ran\n")
    environment = {"PATH": "/usr/bin:/bin", "RAINBOW_FILES": str(tmp_path), "RAINBOW_JOB_ID": "7"}

    run = subprocess.run(["/bin/sh", "-c", job["command"]], cwd=tmp_path, env=environment, check=False, timeout=600)

    assert run.returncode == 0
    assert not (tmp_path / "owned").exists()
    (written,) = [path for path in tmp_path.iterdir() if path.name != "slurm_script"]
    assert written.read_text() == "ran\n"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1h30m", 5400), ("30:00", 1800), ("1:30:00", 5400), ("1-0", 86_400), ("1-02:03:04", 93_784)],
)
def test_a_time_limit_of_rainbow_may_be_written_as_slurm_has_it(text: str, seconds: int) -> None:
    assert Span(lowest=1, highest=10**6).convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["1-", "-1", "1:2:3:4", "1h-2", ":"])
def test_another_time_limit_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a span of time"):
        Span(lowest=1, highest=10**6).convert(text, None, None)


def test_the_whole_environment_is_sent_without_what_looks_like_credentials() -> None:
    secret = dict.fromkeys(
        ("GH_PAT", "HF_TOKEN", "MYSQL_PWD", "OPENAI_KEY", "PGPASSWORD", "RESTIC_PASSPHRASE", "SSHPASS"), "x"
    )
    secret |= {
        "DATABASE_URL": "postgres://u:p@db/x",
        "https_proxy": "http://u:p@proxy:3128",
        "INDEX": "https://t@pypi/",
    }
    plain = {"BYPASS_CACHE": "1", "HOST_URL": "https://a.org/@b", "KEYS": "3", "PATHS": "a@b", "GIT_AUTHOR": "1"}

    sent = exported("ALL", {**secret, **plain})

    assert sent.variables == plain
    assert all(name in sent.warnings[0] for name in secret)
    assert exported("ALL,GH_PAT", secret).variables == {"GH_PAT": "x"}


class Asked:
    """A server that is asked by a person, or by a token of none, who reaches the jobs of three."""

    def __init__(self, person: str) -> None:
        self.person = person

    def who_am_i(self) -> Any:
        return SimpleNamespace(person=self.person)

    def list_jobs(self, **_: Any) -> list[Any]:
        job = {"state": JobState.QUEUED, "cancel_requested_at": None, "name": "", "partition": "", "account": ""}
        return [SimpleNamespace(owner=owner, **job) for owner in ("ada", "bob", "")]


@pytest.mark.parametrize(
    ("person", "users", "me", "owners"),
    [
        ("ada", [], True, ["ada"]),
        ("ada", ["LOGIN"], False, ["ada"]),
        ("ada", ["LOGIN,bob"], False, ["ada", "bob"]),
        ("ada", ["bob"], False, ["bob"]),
        ("ada", [], False, ["ada", "bob", ""]),
        ("", [], True, ["ada", "bob", ""]),
        ("", ["LOGIN"], False, ["ada", "bob", ""]),
    ],
)
def test_who_asks_for_their_own_jobs_gets_no_others(
    person: str, users: list[str], me: bool, owners: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leads of projects reach, and may stop, the jobs of all members."""
    monkeypatch.setattr("rainbow.terminal.slurm_jobs.own_name", lambda: "login")
    client: Any = Asked(person)
    users = [text.replace("LOGIN", "login") for text in users]

    chosen = selection(users=users, me=me, names=(), partitions=(), accounts=(), states=frozenset({"PENDING"}))

    assert [job.owner for job in selected(client, of_caller(client, chosen))] == owners


@pytest.mark.parametrize("width", ["²", "9" * 5000, "0", "-", "x", "10001"])
def test_a_width_that_is_none_is_refused(width: str) -> None:
    with pytest.raises(InvalidArgument, match="width"):
        columns(f"JobID%{width}")


def test_a_wrapped_command_is_sent_as_it_was_typed() -> None:
    assert b"echo \xff\n" in wrapped("echo \udcff").content
