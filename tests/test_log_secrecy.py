"""No log of server, agent or command line holds a credential, or a job's command, environment or output."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import grpc
import pytest

from rainbow.protos import rainbow_pb2 as pb
from tests.support.commandline import MAIN
from tests.support.console import PASSWORD
from tests.support.people import Person, signed_in_at
from tests.support.rows import execute
from tests.support.servers import ROOT, RainbowServer
from tests.support.web import call, get, post
from tests.support.wire import PATIENCE_SECONDS, SERVICE, Remote, joined, refusal_of, registration, spec

COMMAND, VARIABLE, OUTPUT = "canary-command-4711", "canary-variable-4712", "canary-output-4713"
WRONG = "canary-password-4714"
SECRETS = (COMMAND, VARIABLE, OUTPUT, WRONG, PASSWORD)
RUNS = f": {COMMAND}; printf 'canary-output-%s' 4713"
# The statement makes the next submission an unexpected failure, whose message PostgreSQL ends with the row.
BREAK = {
    "postgresql": "ALTER TABLE jobs_job ADD CONSTRAINT broken CHECK (name <> 'broken') NOT VALID",
    "sqlite": "CREATE TRIGGER broken BEFORE INSERT ON jobs_job WHEN NEW.name = 'broken' "
    "BEGIN SELECT RAISE(ABORT, 'broken'); END",
}


def speak_grpc(remote: Remote, server: RainbowServer) -> None:
    stub, environment = remote.stub, {"A": VARIABLE}
    job_id = remote.submit(RUNS, environment=environment).jobid
    remote.submit_many(spec(command=COMMAND, environment=environment), spec(command=COMMAND, nodes=0))
    for bad in (
        {"nodes": 0},
        {"environment": {VARIABLE + "=": VARIABLE}},
        {"command": COMMAND + "\0"},
        {"token": WRONG},
    ):
        refusal_of(stub.SubmitJob, remote.submission(**{"command": COMMAND, "environment": environment, **bad}))
    refusal_of(stub.SubmitJob, remote.submission(COMMAND, cluster=remote.token))
    refusal_of(stub.Register, registration(server, secret=WRONG, name=remote.secret))
    refusal_of(stub.RevokeLeaked, pb.RevokeLeakedRequest(value=WRONG))
    stub.RevokeLeaked(pb.RevokeLeakedRequest(value=remote.token, show=True), timeout=PATIENCE_SECONDS)
    for page_token in (WRONG, remote.token):
        refusal_of(stub.ListJobs, pb.ListJobsRequest(page_token=page_token), metadata=remote.by_token)
    headers = (("x-request-id", remote.token), ("user-agent", WRONG), ("x-request-id", WRONG + " x"))
    stub.GetJobs(pb.GetJobsRequest(jobids=[job_id]), metadata=(*remote.by_secret, *headers), timeout=PATIENCE_SECONDS)
    remote.accept(job_id, agent="agent-1")
    report = pb.JobReport(jobid=job_id, attempt=1, state=pb.JOB_STATE_RUNNING, output=OUTPUT)
    for reports in ([report], [report, pb.JobReport(jobid=0, output=OUTPUT)]):
        with suppress(grpc.RpcError):
            stub.ReportJobs(
                pb.ReportJobsRequest(agent="agent-1", reports=reports), metadata=remote.by_secret, timeout=60
            )
    with grpc.insecure_channel(server.address) as channel, suppress(grpc.RpcError):
        channel.unary_unary(f"{SERVICE}/SubmitJob")(COMMAND.encode(), timeout=PATIENCE_SECONDS)


def speak_http(remote: Remote, server: RainbowServer) -> None:
    job = {"command": COMMAND, "environment": {"A": VARIABLE}}
    made = post(server, "/api/v1/jobs", job, bearer=remote.token).json["id"]
    for bad in ({**job, "nodes": 0}, {**job, COMMAND: VARIABLE}, {"jobs": [job]}, [COMMAND], COMMAND):
        post(server, "/api/v1/jobs", bad, bearer=remote.token)
    call(server, "POST", "/api/v1/jobs", body=COMMAND.encode(), headers={"Authorization": f"Bearer {remote.token}"})
    for bearer in (WRONG, remote.secret):
        post(server, "/api/v1/jobs", job, bearer=bearer)
    get(server, f"/api/v1/jobs/{remote.token}", bearer=remote.secret)
    get(server, f"/api/v1/jobs/{made}?token={remote.token}&name={WRONG}", bearer=remote.secret)
    get(server, f"/api/v1/jobs/{made}", bearer=remote.secret, X_Request_ID=remote.secret, User_Agent=WRONG)


def speak_admin(server: RainbowServer) -> str:
    """Returns the session's id."""
    with pytest.raises(AssertionError):
        Person(server).sign_in("ada", WRONG)
    ada = signed_in_at(server, "ada", "operators", permissions=("see_content_of_job",))
    assert COMMAND in ada.page("/admin/jobs/job/1/change/")
    ada.page(f"/admin/jobs/job/?text={COMMAND}")
    with suppress(HTTPError):
        ada.post("/api/v1/jobs/cancel", {"ids": [COMMAND], "reason": COMMAND})
    return next(cookie.value or "" for cookie in ada.jar if cookie.name == "sessionid")


def speak_until_it_breaks(remote: Remote, server: RainbowServer) -> None:
    execute(server.database_url, BREAK[server.database_url.partition(":")[0]])
    job = {"name": "broken", "command": COMMAND, "environment": {"A": VARIABLE}}
    assert refusal_of(remote.stub.SubmitJob, remote.submission(**job)).code is grpc.StatusCode.INTERNAL
    assert post(server, "/api/v1/jobs", job, bearer=remote.token).status == 500


def run(remote: Remote, server: RainbowServer, folder: Path, *words: str, **environment: str) -> str:
    """What a command of the command line writes to standard error."""
    known = {"HOST": server.address, "CLUSTER": remote.name, "TOKEN": remote.token, "SECRET": remote.secret}
    settings = {**os.environ, "HOME": str(folder), **{f"RAINBOW_{name}": value for name, value in known.items()}}
    done = subprocess.run(
        [*MAIN, *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**settings, **environment},
        timeout=PATIENCE_SECONDS,
    )
    return done.stderr


def entries(log: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        yield json.loads(line)


def test_no_log_holds_a_credential_or_what_jobs_are_made_of(
    start_server: Callable[..., RainbowServer], tmp_path: Path
) -> None:
    settings = {"RAINBOW_LOG_LEVEL": "DEBUG", "RAINBOW_LOG_FORMAT": "json"}
    server = start_server(with_web=True, environment=settings)
    with joined(server) as remote:
        speak_grpc(remote, server)
        speak_http(remote, server)
        session = speak_admin(server)
        submitted = run(remote, server, tmp_path, "submit", "--env", f"A={VARIABLE}", "--", "sh", "-c", RUNS)
        refused = run(remote, server, tmp_path, "submit", "--nodes", "0", "--", COMMAND)
        agent = run(
            *(
                remote,
                server,
                tmp_path,
                "agent",
                "--executor",
                "local",
                "--once",
                "--state-dir",
                str(tmp_path / "state"),
            ),
            **settings,
        )
        found = remote.stub.ListJobs(pb.ListJobsRequest(), metadata=remote.by_secret, timeout=PATIENCE_SECONDS).jobs
        outputs = [remote.job(job.id).output for job in found]
        speak_until_it_breaks(remote, server)
    server.stop()

    log = server.log.read_text()
    hidden = (*SECRETS, remote.token, remote.secret, server.registration_secret, session)
    assert [secret for secret in hidden if secret in log + agent + submitted + refused] == []
    assert OUTPUT in outputs, "the agent ran none"
    assert {"accepted", "handed over", "ended"} <= {entry["message"] for entry in entries(agent)}
    failures = [entry for entry in entries(log) if entry["message"] == "unexpected failure"]
    assert len(failures) == 2
    assert all("IntegrityError" in entry["traceback"] and entry["request_id"] for entry in failures)
    (documented,) = re.findall(r"^```json\n(.*)\n```$", (ROOT / "docs" / "logs.md").read_text(), re.MULTILINE)
    example = json.loads(documented)
    assert example.keys() in [entry.keys() for entry in entries(log) if entry.get("call") == example["call"]]
    calls = [entry.get("call") or entry.get("path") for entry in entries(log)]
    assert {"SubmitJob", "SubmitJobs", "ReportJobs", "/api/v1/jobs", "/admin/login/"} <= set(calls)
