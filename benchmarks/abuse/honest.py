"""Honest callers, a submitter and an agent, with one call in flight each."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from rainbow.protos import rainbow_pb2 as pb
from rainbow.protos.rainbow_pb2_grpc import RainbowSchedulerStub

_PAUSE_SECONDS = 0.02
_PATIENCE_SECONDS = 30.0

Call = Callable[..., Any]


@dataclass(slots=True, kw_only=True)
class Waited:
    """Durations of answered calls, how the others ended, and durations of those that got UNAVAILABLE."""

    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


@contextmanager
def honest_callers(address: str, registration_secret: str, *, ca_file: str = "") -> Iterator[Callable[[float], Waited]]:
    """Yields a function that lets them call for so many seconds."""
    with _channel(address, ca_file) as channel:
        stub = RainbowSchedulerStub(channel)
        new = stub.Register(pb.RegisterRequest(name="honest", secret=registration_secret), timeout=_PATIENCE_SECONDS)
        submission = pb.SubmitJobRequest(cluster="honest", token=new.token, nodes=1, command="hostname")
        look = pb.RequestJobsRequest(cluster="honest", secret=new.secret, maxJobs=10)
        yield partial(_call_for, calls=[partial(stub.SubmitJob, submission), partial(stub.RequestJobs, look)])


def _channel(address: str, ca_file: str) -> grpc.Channel:
    options = [("grpc.use_local_subchannel_pool", 1)]
    if not ca_file:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(Path(ca_file).read_bytes()), options=options)


def _call_for(seconds: float, calls: Sequence[Call]) -> Waited:
    waited, until = Waited(), time.perf_counter() + seconds
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda call: _call(call, waited, until), calls))
    return waited


def _call(call: Call, waited: Waited, until: float) -> None:
    while (began := time.perf_counter()) < until:
        try:
            call(timeout=_PATIENCE_SECONDS)
        except grpc.RpcError as error:
            waited.failures.append(error.code().name)
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                waited.refused.append(time.perf_counter() - began)
        else:
            waited.seconds.append(time.perf_counter() - began)
        time.sleep(_PAUSE_SECONDS)
