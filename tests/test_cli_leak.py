"""`rainbow leak` against a real server."""

import pytest

from tests.support.commandline import Run, answer
from tests.support.wire import Remote

pytest_plugins = ("tests.support.commandline",)


def test_a_leaked_token_is_revoked_from_standard_input(rainbow: Run, stranger: Run, remote: Remote) -> None:
    job_id = answer(rainbow("submit", "--json", "--", "hostname"))["id"]

    shown = stranger("leak", "-", "--show", "--json", input=f"{remote.token}\n")
    done = stranger("leak", "-", input=f"{remote.token}\n")

    assert (answer(shown)["revoked_now"], answer(shown)["jobs"]) == (False, [{"id": job_id, "state": "queued"}])
    assert done.exit_code == 0, done.output
    assert done.stderr == "It is revoked. Jobs that were submitted with it stay: cancel those that are not yours.\n"
    assert done.stdout.splitlines()[-1].split() == [str(job_id), "queued"]
    assert remote.token not in shown.output + done.output
    assert rainbow("submit", "--", "hostname").exit_code == 3
    assert "It was revoked before." in stranger("leak", remote.token).stderr


def test_that_a_leaked_secret_stops_agents_is_said(stranger: Run, remote: Remote) -> None:
    told = stranger("leak", "-", input=remote.secret).stderr

    stopped = f"Agents of {remote.name} that have it get no more jobs and report none until they have another."
    assert told == f"It is revoked. {stopped}\n"


@pytest.mark.parametrize("value", ["rbt_wrong", "rbu_wrong"])
def test_what_is_no_credential_is_not_found(stranger: Run, server: object, value: str) -> None:
    result = stranger("leak", "-", input=value)

    assert result.exit_code == 4
    assert "no credential has this value" in result.stderr
    assert value not in result.output


@pytest.mark.parametrize("given", ["", "\n", "x" * 1000])
def test_standard_input_has_one_value(stranger: Run, server: object, given: str) -> None:
    assert stranger("leak", "-", input=given).exit_code == 2
