"""What metrics cost: recording them, which is always done, and being scraped."""

import time
from collections.abc import Callable
from dataclasses import replace
from urllib.request import urlopen

import grpc

from benchmarks import cases
from benchmarks.bench import Bench
from benchmarks.cluster import register
from benchmarks.measure import compare
from benchmarks.processor_time import time_of_tree
from benchmarks.report import Report
from grpc_api.runtime.metrics import BATCH_SIZE, BATCH_WAIT
from grpc_api.transport.metrics import MethodMetrics
from jobs.metrics import SUBMITTED
from tests.support.ports import free_port

GOAL = 0.01
_REPETITIONS, _TRIES = 20_000, 7
# A server makes its text once a second at most.
_SCRAPES, _EVERY_SECONDS = 5, 1.1


def measure(bench: Bench) -> Report:
    address = f"127.0.0.1:{free_port()}"
    server = bench.start_server(environment={"RAINBOW_METRICS_ADDRESS": address})
    cluster = register(server, "measured")
    most = max(bench.plan.in_flight)
    rows = compare([cases.serial(server), cases.submit_job(cluster)], replace(bench.plan, in_flight=(1, most)))
    lone, shared = (row.middle(lambda sample: sample.cost) for row in rows if row.name == "SubmitJob")
    # Of many at once a transaction has many calls, and records its part once for all of them.
    call, transaction = _seconds_of(_call()), _seconds_of(_transaction())
    shares = {"alone": (call + transaction) / lone, f"{most} at once": call / shared}
    scrape = _seconds_of_a_scrape(server.pid, f"http://{address}/metrics")
    return Report(
        title="What metrics cost a submission",
        yardstick="Serial (no-op)",
        rows=rows,
        notes=[
            f"to record a call takes {call * 1e6:.1f} µs of processor time, a transaction {transaction * 1e6:.1f} µs",
            *(f"{share:.2%} of a submission, {name}; the goal is {GOAL:.0%}" for name, share in shares.items()),
            f"a scrape takes {scrape * 1e3:.1f} ms of processor time, of all processes of the server",
        ],
        failures=[f"metrics cost {share:.2%}, {name}" for name, share in shares.items() if share > GOAL],
        figures={"call_seconds": call, "transaction_seconds": transaction, "scrape_seconds": scrape},
    )


def _call() -> Callable[[], None]:
    method = MethodMetrics("SubmitJob")
    return lambda: method.ended(grpc.StatusCode.OK, 0.002)


def _transaction() -> Callable[[], None]:
    sizes, waits = BATCH_SIZE.labels("submit"), BATCH_WAIT.labels("submit")

    def record() -> None:
        sizes.observe(1)
        waits.observe(0.0002)
        SUBMITTED.add(1, "measured")

    return record


def _seconds_of(record: Callable[[], None]) -> float:
    """The best of some tries: what disturbs a loop of this length only adds."""

    def once() -> float:
        began = time.process_time()
        for _ in range(_REPETITIONS):
            record()
        return (time.process_time() - began) / _REPETITIONS

    return min(once() for _ in range(_TRIES))


def _seconds_of_a_scrape(pid: int, url: str) -> float:
    """Beside what the server does without scrapes in the same time."""

    def spent(each: Callable[[], None]) -> float:
        before = time_of_tree(pid)
        for _ in range(_SCRAPES):
            time.sleep(_EVERY_SECONDS)
            each()
        return time_of_tree(pid) - before

    def scrape() -> None:
        with urlopen(url, timeout=30) as answer:
            answer.read()

    idle = spent(lambda: None)
    return max(0.0, spent(scrape) - idle) / _SCRAPES
