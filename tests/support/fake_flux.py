#!/usr/bin/env python3
"""A `flux` that answers as a real one did (flux-core 0.88, two nodes of two cores), for machines without Flux.

It really runs what it is given. Its jobs are files in $FLUX_URI. Other files there make it answer as a real one in
trouble: `down` for a broker that is away, `no-job-list` for an instance without that module, `disabled` and `stopped`
for a closed queue, with the reason.
"""

# ruff: noqa: T201  it is a command

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

NODES, CORES = 2, 4
MOST_SHOWN = 1000
INSTANCE = Path(os.environ.get("FLUX_URI", "/nonexistent"))
LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
QUEUE_LIST = (
    "{queuem}|{enabled}|{started}|{resources.up.nnodes}|{resources.down.nnodes}"
    "|{resources.free.nnodes}|{resources.free.ncores}"
)
RESOURCES = (
    '{"version": 1, "execution": {"R_lite": [{"rank": "0-1", "children": {"core": "0-1"}}], "starttime": 0.0, '
    '"expiration": 0.0, "nodelist": ["vm,vm"]}}'
)
VERSIONS = "commands:    \t\t0.88.0\nlibflux-core:\t\t0.88.0\nbroker:  \t\t0.88.0"


Job = dict[str, Any]


def submit(words: Sequence[str]) -> None:
    begin = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    options = dict(word.removeprefix("--").split("=", 1) for word in words[:begin] if "--env" not in word)
    kept = [word.removeprefix("--env=") for word in words[:begin] if word.startswith("--env=")]
    if "bad-option" in options:
        fail("usage: flux submit [OPTIONS...]\nflux submit: error: unrecognized arguments: --bad-option=1", 2)
    if reason := told("disabled"):
        fail(f"[Errno 22] job submission is disabled: {reason}")
    if "queue" in options:
        fail(f"[Errno 22] '{options['queue']}' is not a valid queue")
    job = new_job(options)
    if job["nnodes"] > NODES:
        note = f"unsatisfiable request: need {job['nnodes']} node(s) with 1 cores each, only {NODES} eligible"
        job |= ended("FAILED", exception("alloc", note))
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    save(job | {"request": [words[begin:], options, environment]})
    print(job["jobid"], flush=True)
    schedule()


def new_job(options: dict[str, str]) -> Job:
    number = len(list(INSTANCE.glob("*.json"))) + 7
    return {
        "t_submit": time.time(), "name": options["job-name"], "cwd": options["cwd"], "ntasks": int(options["ntasks"]),
        "nnodes": int(options["nodes"]), "id": number, "state": "SCHED", "annotations": {}, "dependencies": [],
        "jobid": f"\u0192{LETTERS[number // 58 // 58]}{LETTERS[number // 58 % 58]}{LETTERS[number % 58]}",
        "exception": {"occurred": False},
        **dict.fromkeys(("priority", "urgency"), 0 if options.get("urgency") == "hold" else 16),
    }  # fmt: skip


def schedule() -> None:
    """Start what fits, oldest first. Every call of the fake begins with it, so that no daemon is needed."""
    with (INSTANCE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = [job for job in all_jobs() if job["state"] == "SCHED" and job["priority"]]
        for job in sorted(waiting, key=lambda job: job["id"]):
            if told("stopped") or taken() + job["ntasks"] > CORES:
                return
            save(job | {"state": "RUN", "t_run": time.time()})
            if not os.fork():
                os.setsid()
                os.closerange(0, 64)
                run(load(job["jobid"]), *job["request"])


def run(job: Job, command: Sequence[str], options: dict[str, str], environment: dict[str, str]) -> NoReturn:
    mode = "ab" if options.get("setopt") == "output.mode=append" else "wb"
    with Path(options["output"]).open(mode) as output, Path(options["error"]).open(mode) as errors:
        written = (output, errors)
        tasks = [start(rank, job, command, options, environment, written) for rank in range(job["ntasks"])]
    save(load(job["jobid"]) | {"pids": [task.pid for task in tasks]})
    deadline = time.monotonic() + (float(options.get("time-limit", "0s").rstrip("s")) or 1e6)
    code = 0
    end: Job = {}
    for task in tasks:
        try:
            status = task.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(task.pid, signal.SIGALRM)
            status = task.wait()
            end = {"result": "TIMEOUT", "exception": exception("timeout", "resource allocation expired")}
        code = max(code, 128 - status if status < 0 else status)
    outcome = ended("FAILED" if code else "COMPLETED", {"occurred": False}) | {"waitstatus": code << 8}
    save(outcome | load(job["jobid"]) | {key: outcome[key] for key in ("state", "t_cleanup", "waitstatus")} | end)
    os._exit(0)


def start(
    rank: int,
    job: Job,
    command: Sequence[str],
    options: dict[str, str],
    environment: dict[str, str],
    written: tuple[IO[bytes], IO[bytes]],
) -> subprocess.Popen[bytes]:
    more = {"FLUX_JOB_ID": job["jobid"], "FLUX_TASK_RANK": str(rank)}
    return subprocess.Popen(
        command, cwd=options["cwd"], env=environment | more, stdout=written[0], stderr=written[1],
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def jobs(words: Sequence[str]) -> None:
    wanted = [word.replace("f", "\u0192", 1) for word in words if not word.startswith("-")]
    if told("no-job-list"):
        service = "job-list.list-id" if wanted else "job-list.list"
        line = f"No service matching {service} is registered"
        fail("\n".join([f"rpc: {line}"] * len(wanted)) or f"flux-jobs: ERROR: {line}")
    found = sorted(all_jobs(), key=lambda job: -job["id"])
    if wanted:
        print("flux-jobs: WARNING: Filtering options ignored with jobid list", file=sys.stderr)
        for missing in set(wanted) - {job["jobid"] for job in found}:
            print(f"JobID {missing.replace(chr(0x192), 'f')} unknown", file=sys.stderr)
        found = [job for job in found if job["jobid"] in wanted]
    else:
        names = [word.removeprefix("--name=") for word in words if word.startswith("--name=")]
        found = [job for job in found if not names or job["name"] in names]
        since = [float(word.removeprefix("--since=-").rstrip("s")) for word in words if word.startswith("--since=-")]
        found = [job for job in found if not since or job.get("t_cleanup", time.time()) > time.time() - since[0]]
        found = [job for job in found if "-a" in words or job["state"] != "INACTIVE"]
    if "--count=0" not in words and len(found) > MOST_SHOWN:
        found = found[:-1] if wanted else found[:MOST_SHOWN]
    if wanted and not found:
        sys.exit(1)
    print(json.dumps(found[0] if len(wanted) == 1 else {"jobs": found}))


def cancel(words: Sequence[str]) -> None:
    troubles = [trouble for word in words if (trouble := cancelled(word.replace("f", "\u0192", 1)))]
    if troubles:
        fail("\n".join(f"flux-cancel: ERROR: {trouble}" for trouble in troubles))


def cancelled(name: str) -> str:
    if not (INSTANCE / f"{name}.json").exists():
        return f"{name}: unknown job id"
    job = load(name)
    if job["state"] == "INACTIVE":
        return f"{name}: job is inactive"
    end = ended("CANCELED", exception("cancel", ""))
    if job["state"] == "SCHED":
        save(job | end)
        return ""
    while "pids" not in (job := load(name)):
        time.sleep(0.01)
    save(job | {key: end[key] for key in ("result", "exception")})
    for pid in job["pids"]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
    return ""


def job(words: Sequence[str]) -> None:
    kill(words[1:]) if words[0] == "kill" else urgency(words)


def kill(words: Sequence[str]) -> None:
    """To the process groups of the tasks, as a shell of Flux does it."""
    number = signal.Signals[words[0].removeprefix("--signal=")]
    name = words[1].replace("f", "\u0192", 1)
    if not (INSTANCE / f"{name}.json").exists() or load(name)["state"] != "RUN":
        fail(f"flux-job: {name}: job is inactive")
    while "pids" not in (found := load(name)):
        time.sleep(0.01)
    for pid in found["pids"]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


def urgency(words: Sequence[str]) -> None:
    assert (words[0], words[2]) == ("urgency", "hold"), words
    name = words[1].replace("f", "\u0192", 1)
    if not (INSTANCE / f"{name}.json").exists():
        fail(f"flux-job: {words[1]}: unknown job")
    job = load(name)
    if job["state"] == "INACTIVE":
        fail(f"flux-job: {name}: job is inactive")
    if job["state"] == "RUN":
        fail(f"flux-job: {name}: urgency cannot be changed once resources are allocated")
    save(job | {"urgency": 0, "priority": 0})


def queue(words: Sequence[str]) -> None:
    if words[0] == "status":
        disabled, stopped = told("disabled"), told("stopped")
        print(f"Job submission is disabled: {disabled}" if disabled else "Job submission is enabled")
        print(f"Scheduling is stopped: {stopped}" if stopped else "Scheduling is started")
        return
    assert words == ["list", "-no", QUEUE_LIST], words
    cores = taken()
    marks = ["\u2717" if told(name) else "\u2714" for name in ("disabled", "stopped")]
    print("", *marks, NODES, 0, NODES - min(NODES, cores), CORES - cores, sep="|")


def taken() -> int:
    return sum(int(job["ntasks"]) for job in all_jobs() if job["state"] == "RUN")


def all_jobs() -> list[Job]:
    return [json.loads(path.read_text()) for path in INSTANCE.glob("*.json")]


def ended(result: str, how: Job) -> Job:
    return {"state": "INACTIVE", "result": result, "t_cleanup": time.time(), "exception": how}


def exception(kind: str, note: str) -> Job:
    return {"occurred": True, "severity": 0, "type": kind, "note": note}


def load(name: str) -> Job:
    job: Job = json.loads((INSTANCE / f"{name}.json").read_text())
    return job


def save(job: Job) -> None:
    draft = INSTANCE / f"draft-{os.getpid()}"
    draft.write_text(json.dumps(job))
    draft.rename(INSTANCE / f"{job['jobid']}.json")


def told(name: str) -> str:
    """The reason why something is not as usual; empty if it is."""
    file = INSTANCE / name
    return file.read_text() if file.exists() else ""


def fail(words: str, status: int = 1) -> NoReturn:
    print(words, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if not INSTANCE.is_dir() or (INSTANCE / "down").exists():
        fail(f"flux-{verb}: ERROR: Unable to connect to Flux: broker socket {INSTANCE} was not found")
    schedule()
    verbs: dict[str, Callable[[Sequence[str]], None]] = {
        "submit": submit,
        "jobs": jobs,
        "cancel": cancel,
        "job": job,
        "queue": queue,
        "resource": lambda _: print(RESOURCES),
        "config": lambda _: print("{}"),
        "version": lambda _: print(VERSIONS),
    }
    verbs[verb](rest)
