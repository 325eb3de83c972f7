"""Traces: one from the submission to the end of a job, over client, server and agent; off, nothing of it is loaded."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import RequestFactory
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc

from jobs.traces import traceparents_of
from rainbow.executors.executor import SchedulerSilent, WorkRefused
from rainbow.telemetry import traces
from rainbow_site.web.access_log import log_requests
from tests.support.agents import Crew, ScriptedExecutor
from tests.support.commandline import MAIN
from tests.support.patience import PATIENCE_SECONDS, wait_until
from tests.support.ports import free_port
from tests.support.servers import RainbowServer
from tests.support.web import post
from tests.support.wire import Remote, joined

ERROR = 2  # Status.StatusCode of OTLP
# A command leaves out what is not sent within a second of its end.
PATIENT = f"from rainbow.telemetry import opentelemetry_traces as sent; sent._PATIENCE_SECONDS = {PATIENCE_SECONDS}; "
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Collector(otlp_grpc.TraceServiceServicer):
    """`spans` as they came, each with the name of its service."""

    address: str = ""
    spans: list[tuple[str, Any]] = field(default_factory=list)

    def Export(self, request: Any, context: Any) -> Any:
        for of_service in request.resource_spans:
            names = {item.key: item.value.string_value for item in of_service.resource.attributes}
            for scope in of_service.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]
        return otlp.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Any]:
        return [span for _, span in self.spans if span.name == name]

    def of_job(self, job_id: int) -> set[tuple[str, str]]:
        """Service and name of each span in the trace of the job."""
        ids = {
            span.trace_id for _, span in self.spans if span.name == "job submitted" and attribute(span, "job") == job_id
        }
        return {(service, span.name) for service, span in self.spans if span.trace_id in ids}


def attribute(span: Any, name: str) -> Any:
    return next((item.value.int_value for item in span.attributes if item.key == f"rainbow.{name}"), None)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    otlp_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(None).wait()


def settings(address: str, *, timeout_seconds: int = PATIENCE_SECONDS) -> dict[str, str]:
    # Sent soon, so that tests need not wait; what is not taken within the timeout is lost.
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_EXPORTER_OTLP_TIMEOUT": str(timeout_seconds)}
    return {"RAINBOW_TRACES": "true", "OTEL_BSP_SCHEDULE_DELAY": "100", **endpoint}


def run(
    remote: Remote,
    server: RainbowServer,
    folder: Path,
    *words: str,
    stderr: bool = False,
    patient: bool = False,
    **further: str,
) -> str:
    """A command of the command line, which sends its traces however long that takes if it is `patient`."""
    known = {"HOST": server.address, "CLUSTER": remote.name, "TOKEN": remote.token, "SECRET": remote.secret}
    environment = {**os.environ, "HOME": str(folder), **{f"RAINBOW_{key}": value for key, value in known.items()}}
    done = subprocess.run(
        [*MAIN[:-1], PATIENT * patient + MAIN[-1], *words],
        capture_output=True,
        text=True,
        env={**environment, **further},
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr if stderr else done.stdout


def test_one_trace_leads_from_the_submission_to_the_end(
    start_server: Callable[..., RainbowServer], collector: Collector, tmp_path: Path
) -> None:
    on = settings(collector.address)
    server = start_server(with_web=True, environment=on)
    with joined(server) as remote:
        run(remote, server, tmp_path, "submit", "--", "true", patient=True, **on)
        over_http = post(server, "/api/v1/jobs", {"command": "true"}, bearer=remote.token, traceparent=PARENT).json[
            "id"
        ]
        agent = ("agent", "--executor", "local", "--once", "--state-dir", str(tmp_path / "state"))
        run(remote, server, tmp_path, *agent, patient=True, **on)

    life = {("rainbow-server", f"job {what}") for what in ("submitted", "accepted", "ended")}
    life |= {("rainbow-agent", "hand over")}
    wait_until(lambda: collector.of_job(1) >= life | {("rainbow", "SubmitJob"), ("rainbow-server", "SubmitJob")})
    wait_until(lambda: collector.of_job(over_http) >= life | {("rainbow-server", "HTTP POST")})
    submitted = next(span for _, span in collector.spans if span.name == "HTTP POST")
    assert (submitted.trace_id.hex(), submitted.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    ends = [span for _, span in collector.spans if span.name == "job ended"]
    assert sorted(attribute(span, "job") for span in ends) == sorted((1, over_http))


@pytest.mark.parametrize(
    "mishap", [WorkRefused("no such account"), SchedulerSilent("timed out"), ValueError("embedded null byte")], ids=repr
)
def test_a_hand_over_that_fails_is_a_span_with_the_reason(
    mishap: Exception,
    scripted: Crew,
    scheduler: ScriptedExecutor,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings(collector.address).items():
        monkeypatch.setenv(name, value)
    collector.spans.clear()
    scheduler.mishaps["bad"] = mishap
    scripted.submit("bad")

    traces.switch_on("rainbow-agent")
    try:
        scripted.work(lambda: collector.named("hand over"))
    finally:
        traces.switch_off()

    status = collector.named("hand over")[0].status
    assert (status.code, status.message) == (ERROR, type(mishap).__name__)


def test_a_collector_that_is_away_delays_nothing(start_server: Callable[..., RainbowServer], tmp_path: Path) -> None:
    away = settings(f"127.0.0.1:{free_port()}", timeout_seconds=2)
    server = start_server(environment=away)
    with joined(server) as remote:
        began = time.monotonic()
        for _ in range(50):
            remote.submit()
        with_traces = time.monotonic() - began
        run(remote, server, tmp_path, "submit", "--", "true", **away)

    # The first export alone would wait for 2 seconds, and each of its repetitions again.
    assert with_traces < 50
    assert server.stop() == 0


def test_a_collectors_credential_is_in_no_log(remote: Remote, server: RainbowServer, tmp_path: Path) -> None:
    wrong = {
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization: Bearer canary-1,x=y",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "Authorization: Bearer canary-2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://agent:canary-3@127.0.0.1:{free_port()}",
    }
    agent = ("agent", "--executor", "local", "--once", "--state-dir", str(tmp_path / "state"), "--log-level", "DEBUG")

    said = run(remote, server, tmp_path, *agent, stderr=True, **(settings("", timeout_seconds=2) | wrong))

    assert "OTEL_EXPORTER_OTLP_HEADERS: left out" in said
    assert "exporting traces to (credential)@127.0.0.1" in said
    assert "canary" not in said


def test_a_client_makes_up_no_name_of_a_span(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def begin(name: str, kind: str, **known: Any) -> traces.Span:
        begun.append(name)
        return traces.NO_SPAN

    monkeypatch.setattr(traces, "begin", begin)
    for method in ("POST", "MADE-UP-1", "MADE-UP-2"):
        log_requests(lambda request: HttpResponse())(RequestFactory().generic(method, "/"))

    assert begun == ["HTTP POST", "HTTP (other)", "HTTP (other)"]


def test_without_the_switch_nothing_is_loaded(remote: Remote, server: RainbowServer, tmp_path: Path) -> None:
    code = (
        "import sys; from rainbow.client import Client; import rainbow.telemetry.traces as t; t.begin('x', 'client')"
        "; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE_SECONDS).returncode == 0
    assert remote.accept(remote.submit().jobid, agent="a").accepted[0].traceparent == ""
    assert not traces.are_on() and traces.begin("x", "client").traceparent == ""


def test_without_opentelemetry_the_switch_says_what_is_missing(
    remote: Remote, server: RainbowServer, tmp_path: Path
) -> None:
    hidden = f"import sys; sys.modules['opentelemetry'] = None; {MAIN[2]}"
    environment = {**os.environ, "RAINBOW_TRACES": "1", "RAINBOW_HOST": server.address, "RAINBOW_TOKEN": remote.token}
    done = subprocess.run(
        [sys.executable, "-c", hidden, "summary"], capture_output=True, text=True, env=environment, timeout=300
    )

    assert done.returncode == 5
    assert done.stderr.startswith(
        "Error: RAINBOW_TRACES: needs OpenTelemetry, which `pip install 'rainbow[otel]'` adds"
    )


@pytest.mark.parametrize(
    "text",
    ["", "x", PARENT[:-1], PARENT + "0", PARENT.upper(), "01" + PARENT[2:], f"00-{'0' * 32}-b7ad6b7169203331-01"],
)
def test_a_parent_that_is_not_valid_is_ignored(text: str) -> None:
    assert traces.traceparent_from(text) == ""
    assert traces.traceparent_from(PARENT) == PARENT


@pytest.mark.django_db
def test_what_was_accepted_is_answered_where_its_spans_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError("the connection is lost")

    closed = Mock()
    monkeypatch.setattr(traces, "are_on", lambda: True)
    monkeypatch.setattr(connection, "close", closed)

    with connection.execute_wrapper(fail):
        assert traceparents_of([1]) == {}

    closed.assert_called_once()
