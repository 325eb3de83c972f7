"""A retry is told from another job under the same key, across releases too."""

import dataclasses
import hashlib
import json
from datetime import UTC, datetime
from operator import attrgetter

import pytest

from jobs import specs
from jobs.specs import JobSpec
from jobs.states import OnLost

WHOLE = JobSpec(
    command="hostname",
    name="h",
    nodes=2,
    tasks=4,
    priority=1,
    time_limit_seconds=60,
    environment={"B": "2", "A": "1"},
    working_directory="/data",
    labels={"team": "climate"},
    cores_per_task=2,
    gpus_per_task=1,
    gpu_type="a100",
    group=7,
    array_index=0,
    memory_mib_per_node=1024,
    exclusive=True,
    account="physics",
    partition="gpu",
    qos="long",
    reservation="maintenance",
    constraint="a100&ib",
    options_by_cluster={"keebler:partition": "debug"},
    image="docker.io/library/debian:12",
    mounts=("/data:/data:ro",),
    secrets={"HF_TOKEN": "site:hf"},
    outputs=("results/*.csv",),
    inputs={"conf/x.toml": "0" * 64},
    input_urls={"model": f"https://example.org/model#sha256={'0' * 64}"},
    needs=("site=geneva",),
    clusters=("keebler",),
    spill_after_seconds=60,
    hold_if_unservable=True,
    expires_at=datetime(2026, 12, 1, 12, 0, tzinfo=UTC),
    start_within_seconds=60,
    signature="{}",
    retry_most=3,
    resubmission_of=7,
    retry_on=("timed_out",),
    after=("any:1",),
    on_lost=OnLost.REQUEUE,
    idempotency_key="k",
)


@dataclasses.dataclass(slots=True, kw_only=True)
class LaterSpec(JobSpec):
    """What a later release makes of it, which lets a job say one thing more."""

    gpus: int = 0


def fingerprint_of_version_1(spec: JobSpec, submitted_by: int | None) -> bytes:
    content = {name: getattr(spec, name) for name in specs._FIELDS_OF_VERSION_1}
    text = json.dumps([submitted_by, content], sort_keys=True, default=dict)
    return hashlib.sha256(text.encode()).digest()


OF_VERSION_1 = JobSpec(**{name: getattr(WHOLE, name) for name in specs._FIELDS_OF_VERSION_1})


@pytest.mark.parametrize("spec", [OF_VERSION_1, JobSpec(command="hostname", idempotency_key="k")])
def test_a_fingerprint_of_an_earlier_release_stays_valid(spec: JobSpec) -> None:
    earlier = fingerprint_of_version_1(spec, 7)

    assert earlier != spec.fingerprint(7)
    assert spec.has_fingerprint(earlier, 7)
    assert not spec.has_fingerprint(earlier, 8)


def test_a_field_that_a_release_adds_changes_no_fingerprint_of_jobs_that_do_not_say_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, earlier = OF_VERSION_1.fingerprint(7), fingerprint_of_version_1(OF_VERSION_1, 7)
    content = {item.name: getattr(OF_VERSION_1, item.name) for item in dataclasses.fields(OF_VERSION_1)}
    monkeypatch.setitem(specs._DEFAULTS, "gpus", 0)
    monkeypatch.setattr(specs, "_OPTIONAL_VALUES", attrgetter(*specs.OPTIONAL_FIELDS, "gpus"))

    assert LaterSpec(**content).fingerprint(7) == before
    assert LaterSpec(**content).has_fingerprint(earlier, 7)
    assert not LaterSpec(**content, gpus=1).has_fingerprint(before, 7)
    assert not LaterSpec(**content, gpus=1).has_fingerprint(earlier, 7)


@pytest.mark.parametrize("field", [item.name for item in dataclasses.fields(JobSpec) if item.name != "signature"])
def test_what_is_said_makes_another_fingerprint(field: str) -> None:
    plain = JobSpec(command="true")
    other = dataclasses.replace(plain, **{field: getattr(WHOLE, field)})

    assert other.fingerprint(7) != plain.fingerprint(7)
    assert not other.has_fingerprint(plain.fingerprint(7), 7)
    assert not other.has_fingerprint(fingerprint_of_version_1(plain, 7), 7)


def test_a_try_that_is_signed_anew_is_no_other_job() -> None:
    signed = dataclasses.replace(WHOLE, signature='{"nonce":"another"}')

    assert signed.fingerprint(7) == WHOLE.fingerprint(7)
