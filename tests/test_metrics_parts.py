"""The parts of the metrics by themselves: bounds, a database that is away, and the token."""

import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from clusters import metrics as cluster_metrics
from clusters.metrics import OTHERS, ClusterCounter
from clusters.models import Cluster
from jobs.queries import fleet_counts
from jobs.queries.fleet_counts import FleetCounts, count_fleet
from jobs.services.orders import Order
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from rainbow.scrape_token import admits, read_token
from rainbow_site.metrics import fleet
from rainbow_site.metrics.fleet import FleetMetrics
from rainbow_site.process.database_connections import families
from rainbow_site.process.metrics_server import check_protection, metrics_server
from rainbow_site.process.sockets import CannotListen
from tests.conftest import Member
from tests.support.ports import free_port

NOTHING = FleetCounts(clusters=[], registered=0, leases_held_back=False)


def told_by(collector: FleetMetrics) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    found = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name: sample.value for family in found for sample in family.samples}


def test_a_database_that_fails_leaves_its_numbers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> FleetCounts:
        raise OSError("it is away")

    monkeypatch.setattr(fleet, "count_fleet", fail)

    assert told_by(FleetMetrics()) == {"rainbow_database_up": 0}


def test_a_database_that_hangs_is_asked_once_and_delays_no_scrape_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, goes_on = list[None](), Event()

    def hang() -> FleetCounts:
        asked.append(None)
        goes_on.wait()
        return NOTHING

    monkeypatch.setattr(fleet, "count_fleet", hang)
    monkeypatch.setattr(fleet, "PATIENCE_SECONDS", 0.01)
    collector = FleetMetrics()
    try:
        first, second = told_by(collector), told_by(collector)
    finally:
        goes_on.set()

    assert first == second == {"rainbow_database_up": 0}
    assert len(asked) == 1


def test_numbers_of_the_database_are_kept_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[None]()

    def count() -> FleetCounts:
        asked.append(None)
        return NOTHING

    monkeypatch.setattr(fleet, "count_fleet", count)
    collector = FleetMetrics()

    assert [told_by(collector)["rainbow_database_up"] for _ in range(3)] == [1, 1, 1]
    assert len(asked) == 1


def test_the_fleet_is_counted_by_as_many_queries_whatever_its_size(
    alpha: Member, beta: Member, now: datetime, django_assert_num_queries: Callable[[int], Any]
) -> None:
    orders = [
        Order(by=member.submitter, cluster_id=member.cluster.id, spec=JobSpec(command="true"))
        for member in (alpha, alpha, beta)
    ]
    submit_jobs(orders=orders, now=now)

    with django_assert_num_queries(5):
        counts = count_fleet()

    assert [(one.name, one.jobs.get("queued"), one.oldest_submitted_at) for one in counts.clusters] == [
        ("alpha", 2, now),
        ("beta", 1, now),
    ]


def test_the_number_of_clusters_is_bounded(alpha: Member, beta: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_counts, "MOST_CLUSTERS", 1)

    counts = count_fleet()

    assert [one.name for one in counts.clusters] == ["alpha"]
    assert counts.registered == Cluster.objects.count() == 2


def test_clusters_beyond_the_bound_share_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_metrics, "MOST_CLUSTERS", 2)
    counter = ClusterCounter("rainbow_test_of_the_bound_total", "For this test.", "reason")

    for name in ("a", "b", "c", "d", "a"):
        counter.add(1, name, "why")

    [family] = counter._counter.collect()
    values = {sample.labels["cluster"]: sample.value for sample in family.samples if sample.name.endswith("_total")}
    assert values == {"a": 2, "b": 1, OTHERS: 2}


def test_the_connections_of_a_pool_are_told() -> None:
    told = {"pool_size": 5, "pool_available": 2, "pool_max": 16, "requests_waiting": 1, "requests_errors": 3}

    found = {(sample.name, *sample.labels.values()): sample.value for one in families(told) for sample in one.samples}

    assert found == {
        ("rainbow_database_connections", "used"): 3,
        ("rainbow_database_connections", "idle"): 2,
        ("rainbow_database_connections_max",): 16,
        ("rainbow_database_connections_waiting",): 1,
        ("rainbow_database_connection_errors_total",): 3,
    }


@pytest.mark.parametrize("address", ["0.0.0.0:9100", "[::]:9100", ":9100"])
def test_without_a_token_only_this_machine_may_scrape(address: str) -> None:
    with pytest.raises(CannotListen, match="RAINBOW_METRICS_TOKEN_FILE"):
        check_protection(address, token_file="")

    check_protection("127.0.0.1:9100", token_file="")


@pytest.mark.parametrize("content", ["", "\n", "short\n", "x" * 2_000])
def test_a_token_that_is_missing_or_short_stops_the_start(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)

    with pytest.raises(CannotListen, match="token of 16 to"):
        check_protection("127.0.0.1:9100", token_file=str(tmp_path / "token"))
    with pytest.raises(CannotListen, match="No such file"):
        check_protection("127.0.0.1:9100", token_file=str(tmp_path / "none"))


@pytest.mark.parametrize("folder", ["none", "long" * 30])
def test_a_folder_that_cannot_have_sockets_stops_the_start(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    (tmp_path / ("long" * 30)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    settings.RAINBOW_METRICS_ADDRESS = f"127.0.0.1:{free_port()}"

    with pytest.raises(CannotListen, match="TMPDIR"), metrics_server():
        pass

    assert not list((tmp_path / ("long" * 30)).iterdir())


def test_the_token_is_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\nwhat else\n")

    assert read_token(str(tmp_path / "token")) == b"0123456789abcdef"


def test_a_token_that_became_unusable_is_told_by_its_path_and_by_what_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("short-secret\n")

    assert not admits("Bearer short-secret", token_file=str(file), log=logging.getLogger("rainbow"))
    file.unlink()
    assert not admits("Bearer short-secret", token_file=str(file), log=logging.getLogger("rainbow"))

    short, missing = caplog.messages
    assert short == f"refusing scrapes error='the first line of {file} must be a token of 16 to 1,024 bytes'"
    assert missing.startswith("refusing scrapes error=") and "No such file or directory" in missing
    assert "short-secret" not in caplog.text


def test_the_age_of_the_oldest_job_is_told_in_seconds() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)

    assert fleet._age(now - timedelta(minutes=2), now) == 120
    assert fleet._age(None, now) == fleet._age(now + timedelta(hours=1), now) == 0
