"""A search that no index serves looks through so many jobs at a time: its page costs the same at any number of jobs."""

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.callers import Caller
from grpc_api.rpcs import jobs
from jobs.queries import search
from jobs.queries.lookup import list_jobs
from jobs.queries.search import Search
from jobs.services.move import move_jobs
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import Member
from tests.support.queue import operator_named, submitted
from tests.support.rest import Rest, submitter


@pytest.fixture(autouse=True)
def small_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_WINDOW", 10)


def pages_over_grpc(by: Caller, now: datetime, **wanted: str) -> list[list[int]]:
    pages, token = list[list[int]](), ""
    while not pages or token:
        page = jobs.list_page(pb.ListJobsRequest(page_token=token, page_size=3, **wanted), by, now)
        pages.append([job.id for job in page.jobs])
        token = page.next_page_token
    return pages


def pages_over_rest(by: Rest, query: str) -> list[list[int]]:
    pages, path = list[list[int]](), f"jobs?page_size=3&{query}"
    while path:
        page = by.get(path).json()
        pages.append([job["id"] for job in page["results"]])
        path = (page["next"] or "").rpartition("/api/v1/")[2]
    return pages


def test_a_name_is_looked_for_a_window_at_a_time(alpha: Member, now: datetime) -> None:
    old = submitted(alpha, 4, now=now, name="needle")
    submitted(alpha, 25, now=now, name="hay")
    new = submitted(alpha, 2, now=now, name="needle")

    wanted = [new[::-1], [], old[:0:-1], [old[0]]]
    assert pages_over_grpc(alpha.submitter, now, name="needle") == wanted
    assert pages_over_grpc(alpha.puller, now, name="needle") == wanted
    assert pages_over_rest(submitter(alpha), "name=needle") == wanted


def test_the_oldest_come_first_where_that_is_asked_for(alpha: Member, now: datetime) -> None:
    submitted(alpha, 15, now=now, name="hay")
    ids = submitted(alpha, 2, now=now, name="needle")

    assert pages_over_rest(submitter(alpha), "name=needle&ordering=id") == [[], ids]


def test_a_name_that_nobody_gave_ends_after_all_were_looked_at(alpha: Member, now: datetime) -> None:
    submitted(alpha, 35, now=now)

    assert pages_over_grpc(alpha.submitter, now, name="nosuch") == [[]] * 4


def test_what_was_moved_elsewhere_is_looked_for_a_window_at_a_time(alpha: Member, beta: Member, now: datetime) -> None:
    moved = submitted(alpha, now=now)
    move_jobs(by=operator_named("olga"), job_ids=moved, cluster_id=beta.cluster.id, reason="full", now=now)
    submitted(alpha, 15, now=now)

    assert pages_over_rest(submitter(alpha), "cluster=beta") == [[], moved]


def test_a_label_leads_to_its_jobs_at_once(alpha: Member, now: datetime) -> None:
    old = submitted(alpha, now=now, labels={"a": "b"})
    submitted(alpha, 25, now=now)

    page = list_jobs(by=alpha.submitter, search=Search(labels={"a": "b"}))

    assert ([job.id for job in page.jobs], page.looked_until) == (old, 0)


@pytest.mark.parametrize("ordering", ["-id", "id"])
def test_a_label_of_many_old_jobs_is_looked_for_a_part_at_a_time(
    alpha: Member, beta: Member, now: datetime, monkeypatch: pytest.MonkeyPatch, ordering: str
) -> None:
    monkeypatch.setattr(search, "_FEW", 4)
    others = submitted(beta, 6, now=now, labels={"a": "b"})
    submitted(alpha, 15, now=now)
    wanted = [*submitted(alpha, 6, now=now, labels={"a": "b"}), *submitted(alpha, 1, now=now, labels={"a": "b"})]
    submitted(alpha, 15, now=now)

    pages = pages_over_rest(submitter(alpha), f"label=a%3Db&ordering={ordering}")

    found = [job for page in pages for job in page]
    assert found == sorted(wanted, reverse=ordering == "-id")
    assert len(pages) <= 1 + (len(others) + len(wanted)) // 3


def test_a_part_of_a_label_is_enough_for_the_page_of_a_huge_cluster(
    alpha: Member, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_FEW", 4)
    submitted(alpha, 6, now=now, labels={"a": "b"})
    submitted(alpha, 25, now=now)
    asked = Search(labels={"a": "b"}, size=3)

    with CaptureQueriesContext(connection) as captured:
        page = list_jobs(by=alpha.submitter, search=asked)

    assert len(page.jobs) == 3
    assert page.more
    ranges = [one["sql"] for one in captured if "label_rows" in one["sql"] or '"jobs_joblabel"' in one["sql"]]
    of_jobs = [sql for sql in ranges if 'FROM "jobs_job"' in sql]
    assert of_jobs
    assert all('"jobs_job"."id" IN (' in sql for sql in of_jobs)
