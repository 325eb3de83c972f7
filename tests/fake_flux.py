#!/usr/bin/env python3
"""A `flux` that answers as a real one did (flux-core 0.88, two nodes of two cores), for machines without Flux.

It really runs what it is given. Its jobs are files in $FLUX_URI; a file `down` there makes it lose its broker.
"""

# ruff: noqa: T201  it is a command

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

NODES, CORES = 2, 4
INSTANCE = Path(os.environ.get("FLUX_URI", "/nonexistent"))
LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def submit(words):
    options = dict(
        word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "--env" not in word
    )
    command = [word for word in words if not word.startswith("--")]
    kept = [word.removeprefix("--env=") for word in words if word.startswith("--env=")]
    if "bad-option" in options:
        fail("flux-submit: ERROR: unrecognized arguments: --bad-option=1")
    number = len(list(INSTANCE.glob("*.json"))) + 7
    job = {
        "t_submit": time.time(), "name": options["job-name"], "cwd": options["cwd"],
        "ntasks": int(options["ntasks"]), "nnodes": int(options["nodes"]), "id": number,
        "jobid": f"\u0192{LETTERS[number // 58]}{LETTERS[number % 58]}", "state": "SCHED", "annotations": {},
        "exception": {"occurred": False},
    }  # fmt: skip
    if job["nnodes"] > NODES:
        note = f"unsatisfiable request: need {job['nnodes']} node(s), only {NODES} eligible"
        job |= {
            "state": "INACTIVE",
            "result": "FAILED",
            "t_cleanup": time.time(),
            "exception": exception("alloc", note),
        }
        save(job)
    elif taken() + job["ntasks"] > CORES:
        job["annotations"] = {"sched": {"reason_pending": "insufficient resources"}}
        save(job)
    else:
        run(job, command, options, {name: os.environ[name] for name in kept if name in os.environ})
    print(job["jobid"])


def run(job, command, options, environment):
    save(job)
    if os.fork():
        return
    os.setsid()
    os.closerange(1, 64)
    with Path(options["output"]).open("ab") as output:
        process = subprocess.Popen(
            command, cwd=options["cwd"], env={**environment, "FLUX_JOB_ID": job["jobid"]}, stdout=output, stderr=output,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    save(job | {"state": "RUN", "t_run": time.time(), "pid": process.pid})
    limit = float(options.get("time-limit", "0s").rstrip("s")) or None
    try:
        code, end = process.wait(limit), {}
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGALRM)
        code, end = (
            process.wait(),
            {"result": "TIMEOUT", "exception": exception("timeout", "resource allocation expired")},
        )
    code = 128 - code if code < 0 else code
    job = load(job["jobid"]) | {"state": "INACTIVE", "t_cleanup": time.time(), "waitstatus": code << 8}
    save({"result": "FAILED" if code else "COMPLETED"} | job | end)
    os._exit(0)


def jobs(words):
    found = [job for path in INSTANCE.glob("*.json") if (job := json.loads(path.read_text()))]
    found.sort(key=lambda job: -job["id"])
    wanted = [word.replace("f", "\u0192", 1) for word in words if not word.startswith("-")]
    for name in [word.removeprefix("--name=") for word in words if word.startswith("--name=")]:
        found = [job for job in found if job["name"] == name]
    if wanted:
        for missing in set(wanted) - {job["jobid"] for job in found}:
            print(f"JobID {missing} unknown", file=sys.stderr)
        found = [job for job in found if job["jobid"] in wanted]
    print(json.dumps(found[0] if len(wanted) == 1 and found else {"jobs": found}))


def cancel(words):
    name = words[0].replace("f", "\u0192", 1)
    if not (INSTANCE / f"{name}.json").exists():
        fail(f"flux-cancel: ERROR: {name}: unknown job id")
    job = load(name)
    if job["state"] == "INACTIVE":
        fail(f"flux-cancel: ERROR: {name}: job is inactive")
    end = {"result": "CANCELED", "exception": exception("cancel", "")}
    if "pid" in job:
        save(job | end)
        os.killpg(job["pid"], signal.SIGTERM)
    else:
        save(job | end | {"state": "INACTIVE", "t_cleanup": time.time()})


def resource(words):
    assert words[:3] == ["list", "-no", "{state} {nnodes} {ncores}"], words
    cores = taken()
    nodes = min(NODES, cores)
    print(f"free {NODES - nodes} {CORES - cores}\nallocated {nodes} {cores}\ndown 0 0")


def taken():
    loaded = [json.loads(path.read_text()) for path in INSTANCE.glob("*.json")]
    return sum(job["ntasks"] for job in loaded if job["state"] == "RUN")


def exception(kind, note):
    return {"occurred": True, "severity": 0, "type": kind, "note": note}


def load(name):
    return json.loads((INSTANCE / f"{name}.json").read_text())


def save(job):
    draft = INSTANCE / f"draft-{os.getpid()}"
    draft.write_text(json.dumps(job))
    draft.rename(INSTANCE / f"{job['jobid']}.json")


def fail(words):
    print(words, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if not INSTANCE.is_dir() or (INSTANCE / "down").exists():
        fail(f"flux-{verb}: ERROR: Unable to connect to Flux: broker socket {INSTANCE} was not found")
    {"submit": submit, "jobs": jobs, "cancel": cancel, "resource": resource}[verb](rest)
