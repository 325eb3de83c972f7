"""What REST writes row by row, without serializers, is what they would say, byte for byte."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.fields import DateTimeField
from rest_framework.renderers import JSONRenderer

from clusters.callers import Operator
from jobs.models import Job
from jobs.queries.lookup import get_jobs, list_jobs
from jobs.queries.search import Search
from jobs.queries.usage import UsageRow
from jobs.rest.job_serializers import WITH_CONTENT, JobBriefSerializer
from jobs.rest.serializers import EventSerializer
from jobs.rest.usage import UsageRowSerializer
from jobs.specs import SPEC_FIELDS
from jobs.states import OnLost
from rainbow_site.web.rest.written import document, moment, objects_of, writers_of
from tests.conftest import Member
from tests.support.members import caller_with, project_of, submitted_by, token_of
from tests.support.queue import submitted
from tests.support.rest import Rest, puller, submitter
from tests.test_job_fields import WHOLE
from tests.test_rest_operators import signed_in

# Both ways of writing share no code but that of the standard library.
SAYABLE = 'a "b" \\c/ <&>\u00e9\u2028\u2029\u20ac\U0001f308%s%%{}'
TEXT = f"{SAYABLE}\x01\b\f\r\x1f\x7f\x9f"
OF_POOLS = ("clusters", "spill_after_seconds")
OFFSETS = (timedelta(0), timedelta(microseconds=1), timedelta(microseconds=100_000), timedelta(seconds=1))


def serialized(serializer: Any) -> bytes:
    return bytes(JSONRenderer().render(serializer.data))


def results_in(content: bytes) -> bytes:
    """The rows of a page, as they are written."""
    return content[content.index(b'"results":') + len(b'"results":') : -1]


def expected(by: Any, search: Search, *, with_content: bool = True) -> bytes:
    jobs = list_jobs(by=by, search=search).jobs
    return serialized(JobBriefSerializer(jobs, many=True, context={WITH_CONTENT: with_content}))


@pytest.fixture
def all_kinds(alpha: Member, now: datetime) -> list[int]:
    """Jobs that differ in all that is shown of them, in each state a job of each kind."""
    other = (*OF_POOLS, "group", "after", "inputs", "resubmission_of")
    whole = {name: getattr(WHOLE, name) for name in SPEC_FIELDS if name not in other}
    whole |= {"command": "a\tb\n" + SAYABLE, "name": SAYABLE, "labels": {"z": SAYABLE, "a": "", "B": "2"}}
    whole |= {"on_lost": OnLost.REQUEUE, "idempotency_key": "one", "expires_at": now + timedelta(days=1)}
    return [*submitted(alpha, 2, now=now), *submitted(alpha, 1, now=now + OFFSETS[1], **whole)]


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_list_of_jobs_is_what_the_serializer_says(alpha: Member, all_kinds: list[int], size: int) -> None:
    page = submitter(alpha).get(f"jobs?page_size={size}")

    assert page["Content-Type"] == "application/json"
    assert results_in(page.content) == expected(alpha.submitter, Search(size=size))


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(len(OFFSETS)))
def test_reported_values_and_times_are_what_the_serializer_says(
    alpha: Member, all_kinds: list[int], now: datetime, number: int
) -> None:
    at = now + OFFSETS[number]
    Job.objects.filter(id=all_kinds[0]).update(
        state="failed", agent=TEXT, native_id="12", exit_code=-9, reason=TEXT, accepted_at=at, started_at=at,
        finished_at=at, lost_at=at, cancel_requested_at=at,
    )  # fmt: skip
    Job.objects.filter(id=all_kinds[1]).update(
        state="running", agent="a", lease_seconds=60, lease_expires_at=at, accepted_at=now, expires_at=at, exit_code=0
    )

    page = puller(alpha).get("jobs")

    assert results_in(page.content) == expected(alpha.puller, Search())


@pytest.mark.django_db
def test_what_operators_may_not_see_is_neither_written_nor_read(alpha: Member, all_kinds: list[int]) -> None:
    viewer = signed_in("jobs.view_job")

    with CaptureQueriesContext(connection) as captured:
        page = viewer.get("jobs")

    hidden = expected(Operator(user_id=0, name=""), Search(), with_content=False)
    assert results_in(page.content) == hidden
    assert json.loads(hidden)[0]["command"] is None
    (rows,) = [item["sql"] for item in captured if "JOIN clusters_cluster" in item["sql"] and "jobs_job" in item["sql"]]
    assert "command" not in rows


@pytest.mark.django_db
def test_people_their_projects_and_their_keys_are_what_the_serializer_says(
    alpha: Member, alice: Operator, now: datetime
) -> None:
    project_of(alice, now=now)
    value = token_of(alice)
    submitted_by(alice, idempotency_key="mine", now=now)

    page = Rest(value).get("jobs")

    assert page.json()["results"][0]["idempotency_key"] == "mine"
    assert results_in(page.content) == expected(caller_with(value, now=now), Search())


@pytest.mark.django_db
def test_a_list_of_none_is_one(alpha: Member) -> None:
    assert submitter(alpha).get("jobs").content == b'{"next":null,"results":[]}'


@pytest.mark.django_db
def test_whoever_wants_it_indented_gets_it_so(alpha: Member, all_kinds: list[int]) -> None:
    guest = submitter(alpha)

    plain, indented = guest.get("jobs"), guest.get("jobs", accept="application/json; indent=2")

    assert b"\n  " in indented.content
    assert indented.json() == plain.json()


@pytest.mark.django_db
def test_events_are_what_the_serializer_says(alpha: Member, all_kinds: list[int], now: datetime) -> None:
    (job, *_) = all_kinds
    puller(alpha).post("clusters/alpha/accept", {"ids": [job], "agent": "a"})
    submitter(alpha).post(f"jobs/{job}/cancel", {"reason": 'for "good" \u20ac'})

    answer = submitter(alpha).get(f"jobs/{job}/events")

    events = get_jobs(by=alpha.submitter, job_ids=[job], with_events=True)[job].events
    assert len(events) > 2
    assert answer.content == serialized(EventSerializer(events, many=True))


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ROWS = st.builds(
    UsageRow,
    day=st.none() | st.dates(date(2000, 1, 1)),
    cluster=_NAMES,
    project=_NAMES,
    person=_NAMES,
    jobs=st.integers(0, 2**63),
    node_seconds=st.integers(0, 2**63),
)


@given(st.lists(_ROWS, max_size=5))
def test_any_usage_is_what_the_serializer_says(rows: list[UsageRow]) -> None:
    written = document(objects_of(rows, writers_of(UsageRowSerializer)))

    assert written == serialized(UsageRowSerializer(rows, many=True))


@given(st.datetimes(timezones=st.just(UTC)) | st.just(datetime(2026, 11, 1, tzinfo=UTC)))
def test_any_moment_is_the_same_from_both_databases(at: datetime) -> None:
    # As Django's adapter for SQLite stores it.
    stored = str(at.replace(tzinfo=None))

    assert moment(at) == moment(stored) == json.dumps(DateTimeField().to_representation(at))
