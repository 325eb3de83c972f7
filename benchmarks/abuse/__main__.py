"""python -m benchmarks.abuse: attacks a server of this checkout, and prints what an honest caller noticed of it."""

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

import grpc

from benchmarks.abuse.attacks import Target
from benchmarks.abuse.cases import CASES, Case
from benchmarks.abuse.honest import honest_callers
from benchmarks.abuse.memory import memory_of, peak_of
from benchmarks.abuse.outcome import HEAD, Outcome
from benchmarks.abuse.surroundings import OTHER_CASES
from benchmarks.bench import Bench, Plan, Server, open_bench
from benchmarks.databases import KINDS
from benchmarks.report import table
from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub
from tests.support.servers import ROOT, TRANSPORT

_WARM_UP_SECONDS = 0.5
_SETTLE_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="python -m benchmarks.abuse", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="part of a case's name; default: all")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of each attack (%(default)s)")
    parser.add_argument("--database", choices=KINDS, default="sqlite")
    parser.add_argument("--transport", choices=("grpcio", "h2corn"), default="grpcio")
    options = parser.parse_args(arguments)
    os.environ[TRANSPORT] = options.transport
    chosen = [name for name in _MEASURED if not options.cases or any(part in name for part in options.cases)]
    plan = Plan(seconds=options.seconds, rounds=1, in_flight=(), growth=0)
    with open_bench(plan=plan, database=options.database, folder=None) as bench:
        outcomes = []
        for name in chosen:
            print(f"{name} …", file=sys.stderr)
            outcomes.append(_MEASURED[name](bench))
    print("\n".join(["", *table([HEAD, *(outcome.row for outcome in outcomes)])]))
    return 1 if any(outcome.is_far_off for outcome in outcomes) else 0


def _attacked(bench: Bench, case: Case) -> Outcome:
    with bench.servers_stopped():
        server = bench.start_server()
        target = _target(server, case)
        before = memory_of([server.pid])
        with honest_callers(server.address, server.registration_secret) as call_for, peak_of([server.pid]) as peak:
            call_for(_WARM_UP_SECONDS)
            with _attacker(case, target):
                waited = call_for(bench.plan.seconds)
        time.sleep(_SETTLE_SECONDS)
        after = memory_of([server.pid])
        return Outcome(case=case.name, waited=waited, before=before, peak=peak[0], after=after)


def _target(server: Server, case: Case) -> Target:
    if not case.by_submitter:
        return Target(address=server.address)
    with grpc.insecure_channel(server.address) as channel:
        stub = RainbowSchedulerStub(channel)
        new = stub.Register(pb.RegisterRequest(name="evil", secret=server.registration_secret))
        jobs = [pb.JobSpec(command="x" * 4_000, nodes=1)] * 1_000
        by = (("authorization", f"Bearer {new.token}"),)
        ids = [result.jobid for result in stub.SubmitJobs(pb.SubmitJobsRequest(jobs=jobs[:900]), metadata=by).results]
    return Target(address=server.address, token=new.token, secret=new.secret, jobs=ids)


@contextmanager
def _attacker(case: Case, target: Target) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.abuse.attacker", case.name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin and process.stdout
    try:
        process.stdin.write(json.dumps(asdict(target)) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the attacker of {case.name} ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()


_MEASURED: dict[str, Callable[[Bench], Outcome]] = {
    **{case.name: partial(_attacked, case=case) for case in CASES},
    **OTHER_CASES,
}


if __name__ == "__main__":
    sys.exit(main())
