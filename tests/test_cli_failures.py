"""How the command line fails: with a message, an exit code, and no credential in sight."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import Run, answer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.ports import free_port
from tests.support.rehearsed import TWO_ATTEMPTS, RehearsedServer, rehearsed_server
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

QUEUED = pb.SubmitJobResponse(jobid=7, status=pb.SubmitJobResponse.SUBMIT_SUCCESS, position=1)


@pytest.fixture
def rehearse(rainbow: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives the command line a server with a script."""
    with ExitStack() as stack:

        def start(*script: Any) -> RehearsedServer:
            server = stack.enter_context(rehearsed_server(*script))
            monkeypatch.setenv("RAINBOW_HOST", server.address)
            return server

        yield start


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["sumbit"], "No such command 'sumbit'; did you mean submit?"),
        (["submit", "ls", "-l"], "put the command after --"),
        (["submit", "--nodes", "2", "ls", "-la"], "put the command after --"),
        (["submit", "ls", "-n"], "put the command after --"),
        (["submit", "--nods", "2", "--", "a"], "No such option"),
        (["submit"], "either after `--` or with --command"),
        (["submit", "-c", "a", "--", "b"], "after `--`, or with --command, not both"),
        (["submit", "--nodes", "0", "--", "a"], "0 is not in the range"),
        (["submit", "--nodes", str(2**31), "--", "a"], "2147483648 is not in the range 1<=x<=2147483647"),
        (["submit", "--tasks", "-1", "--", "a"], "-1 is not in the range 0<=x<=2147483647"),
        (["request", "--max-jobs", str(2**31)], "2147483648 is not in the range"),
        (["jobs", "--timeout", "nan"], "'nan' is not a valid number"),
        (["jobs", "--timeout", "4s"], "'4s' is not a valid number"),
        (["agent", "--executor", "local", "--interval", "nan"], "'nan' is not a valid number"),
        (["submit", "--nodes", "two", "--", "a"], "'two' is not a valid whole number"),
        (["job", "seven"], "'seven' is no job's id: write ID, GROUP_INDEX for a task"),
        # Python would read it as 83.
        (["submit", "--nodes", "8_3", "--", "a"], "'8_3' is not a valid whole number"),
        (["cancel", "8_[3"], "'8_[3' is no job's id"),
        (["watch", "3000000008"], "'3000000008' is all of group 8; a task of it is 8_INDEX, all of it --group 8."),
        (["fetch", "3000000008"], "a task of it is 8_INDEX, all of it --group 8."),
        (["resubmit", "3000000008"], "a task of it is 8_INDEX, all of it --failed-of 8."),
        (["job", "3000000008"], "'3000000008' is all of group 8; a task of it is 8_INDEX."),
        (["group", "3000000000"], "3000000000 is not in the range 1<=x<=2147483647"),
        (["group", "9000000000"], "is not in the range 1<=x<=2147483647"),
        (["logs", "8_[3-5]"], "'8_[3-5]' are 3 tasks; name one, as 8_INDEX."),
        (["jobs", "--timeout", "inf"], "inf is not in the range 0<x<=86400"),
        (["submit", "--priority", "101", "--", "a"], "101 is not in the range"),
        (["submit", "--time-limit", "soon", "--", "a"], "'soon' is not a span of time"),
        (["submit", "--time-limit", "366d", "--", "a"], "366d is not within 1 second to 365 days"),
        (["submit", "--env", "A", "--", "a"], "'A' has not the form NAME=VALUE"),
        (["submit", "--label", "=1", "--", "a"], "'=1' has not the form NAME=VALUE"),
        (["submit", "--workdir", "relative", "--", "a"], "Error: --workdir: "),
        (["submit", "--job-name", "n" * 256, "--", "a"], "Error: --job-name: "),
        (["submit", "--token", "", "--", "a"], "--token is empty"),
        (["submit", "--token", "a", "--token-file", os.devnull, "--", "a"], "either --token or --token-file"),
        (["submit", "--token-file", os.devnull, "--", "a"], "--token-file is empty"),
        (["submit", "--token-file", "/none", "--", "a"], "Error: cannot read /none: no such file or directory\n"),
        (
            ["submit", "--ca-file", "/none", "--", "a"],
            "Error: --ca-file: cannot read /none: no such file or directory\n",
        ),
        (["submit", "-c", "a\udcff"], "cannot be sent: it is not UTF-8"),
        (["request", "--lease", "60"], "--lease needs --agent"),
        (["request", "--accept", "-1"], "-1 is not in the range"),
        (["request", "--wait", "6m"], "6m is not within 0 seconds to 5 minutes"),
        (["jobs", "--all", "--limit", "1"], "either --limit or --all"),
        (["jobs", "--state", "unspecified"], "'unspecified' is not one of"),
        (["job", "0"], "'0' is no job's id"),
        (["cancel"], "Give either the ids of jobs or --group"),
        (["rotate", "key"], "'key' is not one of"),
        (["rotate", "token", "--grace", "9d"], "9d is not within 0 seconds to 7 days"),
        (["rotate", "token", "--label", "none"], ""),
        (["submit", "--key", "k" * 999, "--", "a"], "Error: --key: "),
        (["register", "--cluster-name", "-"], "Error: --cluster-name: "),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_a_mistake_is_told_without_a_traceback(rainbow: Run, words: list[str], complaint: str) -> None:
    result = rainbow(*words)

    assert result.exit_code in (2, 4)
    assert complaint in result.stderr
    assert not result.stdout
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "words",
    [
        ["submit", "--token", "wrong", "--", "a"],
        ["request", "--request-secret", "wrong"],
        ["jobs", "--token", "wrong"],
        ["register", "--secret", "wrong", "--cluster-name", "other"],
        ["submit", "--cluster-name", "another", "--", "a"],
    ],
    ids=" ".join,
)
def test_a_refused_credential_exits_with_3(rainbow: Run, words: list[str]) -> None:
    result = rainbow(*words)

    assert result.exit_code == 3
    assert result.stderr.startswith("Error: request denied: the ")
    assert "wrong" not in result.stderr


def test_a_misspelled_option_is_not_taken_for_the_commands(rainbow: Run) -> None:
    result = rainbow("submit", "--nods", "2")

    assert result.exit_code == 2
    assert "put the command after --" not in result.stderr


def test_a_refused_credential_is_named_by_its_kind_its_cluster_and_its_source(
    rainbow: Run, remote: Remote, server: RainbowServer, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"of cluster {remote.name} at {server.address}, from"
    monkeypatch.setenv("RAINBOW_TOKEN", "hush-hush")
    monkeypatch.delenv("RAINBOW_SECRET")
    config_file.write_text('secret = "hush-hush"\n')
    config_file.chmod(0o600)

    by_variable = rainbow("jobs").stderr
    by_flag = rainbow("jobs", "--token", "hush-hush").stderr
    by_file = rainbow("request").stderr
    stranger = rainbow("register", "--secret", "hush-hush", "--cluster-name", "other").stderr

    assert by_variable == f"Error: request denied: the token {where} RAINBOW_TOKEN\n"
    assert by_flag == f"Error: request denied: the token {where} --token\n"
    assert by_file == f"Error: request denied: the secret {where} {config_file}\n"
    assert stranger == f"Error: request denied: the registration secret at {server.address}, from --secret\n"


def test_who_has_a_personal_token_that_is_refused_reads_what_to_do(
    rainbow: Run, remote: Remote, server: RainbowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAINBOW_TOKEN", "rbu_hush-hush")

    refused = rainbow("submit", "--", "hostname").stderr

    where = f"the personal token, for cluster {remote.name} at {server.address}, from RAINBOW_TOKEN"
    advice = "`rainbow projects` lists the clusters it may use, `rainbow login` gets a new token"
    assert refused == f"Error: request denied: {where}; {advice}\n"


def test_a_token_for_a_project_needs_its_name(rainbow: Run, remote: Remote) -> None:
    refused = rainbow("tokens", "create", "nightly", "--for-project")

    assert refused.exit_code == 2
    assert "Error: --for-project needs --project.\n" in refused.stderr


@pytest.mark.parametrize(
    ("words", "ways"),
    [
        (["submit", "--", "a"], "no token is known for the cluster keebler; use --token-file, RAINBOW_TOKEN"),
        (["request"], "no secret is known for the cluster keebler; use --request-secret-file, RAINBOW_SECRET"),
        (["jobs"], "no token is known"),
        (["jobs", "--as-cluster"], "no secret is known"),
    ],
    ids=["submit", "request", "jobs", "jobs as cluster"],
)
def test_a_missing_credential_exits_with_3_and_says_where_to_put_it(stranger: Run, words: list[str], ways: str) -> None:
    result = stranger(*words)

    assert result.exit_code == 3
    assert ways in result.stderr
    assert "rainbow register --save" in result.stderr


@pytest.mark.parametrize("words", [["job", "2147483647"], ["cancel", "2147483647"]], ids=" ".join)
def test_what_is_not_there_exits_with_4(rainbow: Run, words: list[str]) -> None:
    result = rainbow(*words)

    assert result.exit_code == 4
    assert "2147483647" in result.stderr


def test_conflicts_exit_with_5(rainbow: Run, remote: Remote) -> None:
    jobid = answer(rainbow("submit", "--key", "mine", "--json", "--", "hostname"))["jobid"]
    rainbow("request", "--accept", "1")

    other_content = rainbow("submit", "--key", "mine", "--", "other")
    same_name = rainbow("register", "--cluster-name", remote.name)
    taken_for_good = rainbow("cancel", str(jobid))

    assert [result.exit_code for result in (other_content, same_name, taken_for_good)] == [5, 5, 5]


def test_an_accept_that_got_only_some_jobs_exits_with_5(rainbow: Run, rehearse: Any, remote: Remote) -> None:
    line = f'{{"id":%d,"cluster":"{remote.name}","name":"n","nodes":1,"tasks":0,"command":"hostname"}}'
    rehearse(
        pb.RequestJobsResponse(status=1, jobs={1: line % 1, 2: line % 2}),
        pb.AcceptJobsResponse(
            status=pb.AcceptJobsResponse.RESULT_TYPE_PARTIAL,
            accepted=[pb.AcceptedJob(jobid=1, attempt=1)],
            refused=[pb.RefusedJob(jobid=2, reason=pb.RefusedJob.REASON_NOT_QUEUED, message="it was taken")],
        ),
    )

    result = rainbow("request", "--accept", "2")

    assert result.exit_code == 5
    assert "Accepted 1 of 2 jobs: 1\n" in result.stdout
    assert result.stderr == "Job 2 was refused: it was taken\n"


def test_a_server_of_the_original_protocol_names_no_accepted_jobs(rainbow: Run, rehearse: Any, remote: Remote) -> None:
    line = f'{{"id":%d,"cluster":"{remote.name}","name":"n","nodes":1,"tasks":0,"command":"hostname"}}'
    offer = pb.RequestJobsResponse(status=1, jobs={1: line % 1, 2: line % 2})
    result = pb.AcceptJobsResponse
    rehearse(
        offer,
        result(status=result.RESULT_TYPE_SUCCESS),
        offer,
        result(status=result.RESULT_TYPE_SUCCESS),
        offer,
        result(status=result.RESULT_TYPE_PARTIAL),
    )

    all_of_them = rainbow("request", "--accept", "2")
    as_json = answer(rainbow("request", "--accept", "2", "--json"))
    some_of_them = rainbow("request", "--accept", "2")

    assert (all_of_them.exit_code, some_of_them.exit_code) == (0, 5)
    assert "Accepted 2 of 2 jobs: 1, 2\n" in all_of_them.stdout
    assert as_json["accepted"] == [{"id": id, "jobid": id, "attempt": 1, "lease_expires_at": None} for id in (1, 2)]
    assert "Accepted some of 2 jobs; the server does not say which.\n" in some_of_them.stdout


def test_a_paused_cluster_is_told_why_it_gets_nothing(rainbow: Run, rehearse: Any) -> None:
    rehearse(pb.RequestJobsResponse(paused="the power is off"))

    result = rainbow("request")

    assert result.exit_code == 0
    assert "gets no jobs now: the power is off" in result.stdout


@pytest.mark.usefixtures("tried_twice")
def test_an_unreachable_server_exits_with_6_and_says_what_takes_so_long(rainbow: Run) -> None:
    nowhere = f"localhost:{free_port()}"

    result = rainbow("submit", "--host", nowhere, *TWO_ATTEMPTS, "--", "a")

    assert result.exit_code == 6
    waiting, error = result.stderr.splitlines()
    assert waiting.startswith(f"{nowhere} cannot be reached: ")
    assert waiting.endswith("; trying for 10 minutes")
    assert error.startswith(f"Error: {nowhere} cannot be reached: ")
    assert error.endswith("; `rainbow doctor` looks for the cause")


@pytest.mark.parametrize(
    "host", ["http://localhost:8000", "a.example:50051:1", "a..b", "localhost:", "a b", "a:70000", "\udcff"]
)
@pytest.mark.parametrize("words", [["submit", "--", "a"], ["doctor"], ["jobs"]], ids=" ".join)
def test_a_malformed_host_exits_with_2_at_once(rainbow: Run, words: list[str], host: str) -> None:
    result = rainbow("--host", host, *words)

    assert result.exit_code == 2
    assert result.stderr == f"Error: --host: must be HOST or HOST:PORT, without http://, not {host!r}\n"


def test_an_empty_host_on_the_command_line_exits_with_2(rainbow: Run) -> None:
    result = rainbow("jobs", "--host", "")

    assert result.exit_code == 2
    assert "--host is empty; it must be HOST or HOST:PORT" in result.stderr


@pytest.mark.usefixtures("tried_twice")
def test_a_host_without_an_address_is_told_without_a_stray_bracket(rainbow: Run) -> None:
    result = rainbow("jobs", "--host", "no-such-host.invalid", *TWO_ATTEMPTS)

    assert result.exit_code == 6
    assert "Error: no-such-host.invalid:50051 cannot be reached: " in result.stderr
    assert "]" not in result.stderr


def test_a_setting_that_does_not_exist_is_warned_of(rainbow: Run, config_file: Path) -> None:
    config_file.write_text('hots = "a:1"\n[clusters.beta]\ntokn = "t"\n')

    result = rainbow("jobs")

    assert result.exit_code == 0
    assert result.stderr == (
        f"Warning: {config_file}: there is no setting hots, tokn; known are host, cluster, token, secret, "
        "registration_secret, tls, ca_file, cert_file, key_file, sign, signing_key\n"
    )


def test_a_lost_answer_exits_with_6_and_says_how_to_find_out(rainbow: Run, rehearse: Any) -> None:
    enough = Event()
    server = rehearse(lambda context: enough.wait(PATIENCE_SECONDS) and QUEUED)

    result = rainbow("submit", "--timeout", "5", "--", "a")

    enough.set()
    assert result.exit_code == 6
    key = server.asked[0].idempotency_key
    assert f"repeat the command with --key {key}: it makes no second job" in result.stderr


def test_an_unexpected_answer_exits_with_1(rainbow: Run, rehearse: Any) -> None:
    rehearse(grpc.StatusCode.DATA_LOSS)

    result = rainbow("summary")

    assert result.exit_code == 1
    assert re.fullmatch(r"Error: as rehearsed \(DATA_LOSS\) \(request [0-9a-f]+\)\n", result.stderr)


def test_a_credential_may_come_from_standard_input_or_a_file(
    rainbow: Run, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAINBOW_TOKEN", "wrong")
    monkeypatch.setenv("RAINBOW_SECRET", "wrong")
    file = tmp_path / "credential"
    file.write_text(f"{remote.secret}\n")

    by_input = rainbow("submit", "--token", "-", "--", "a", input=f"{remote.token}\n")
    by_file = rainbow("request", "--request-secret-file", str(file))

    assert (by_input.exit_code, by_file.exit_code) == (0, 0)
