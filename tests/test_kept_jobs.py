"""Lists over REST write jobs that are as they were only once, and what they say is never old."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from clusters.callers import Operator
from clusters.models import Cluster, Credential
from jobs.models import Job
from jobs.queries.lookup import list_jobs
from jobs.queries.search import Search
from jobs.rest import job_rows
from jobs.rest.job_rows import kept_jobs, write_jobs
from jobs.rest.kept_jobs import KeptJobs, WrittenJob
from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import Rest, submitter
from tests.test_rest_operators import signed_in
from tests.test_rest_written import expected, results_in


def columns_read(rest: Rest, path: str = "jobs") -> tuple[Any, list[str]]:
    """The answer, and the statements that read what submitters said of jobs."""
    with CaptureQueriesContext(connection) as captured:
        answer = rest.get(path)
    return answer, [item["sql"] for item in captured if '"working_directory"' in item["sql"]]


@pytest.mark.django_db
def test_a_list_of_jobs_that_are_as_they_were_reads_nothing_of_them_but_what_changes(
    alpha: Member, now: datetime
) -> None:
    submitted(alpha, 3, now=now)
    first, read = columns_read(submitter(alpha))

    second, read_again = columns_read(submitter(alpha))

    assert (len(read), read_again) == (1, [])
    assert (second.content, second["ETag"]) == (first.content, first["ETag"])


@pytest.mark.django_db
def test_only_what_changed_and_what_is_new_is_read_again(alpha: Member, now: datetime) -> None:
    changed, *_ = submitted(alpha, 3, now=now)
    submitter(alpha).get("jobs")
    Job.objects.filter(id=changed).update(state="running", agent="a", accepted_at=now)
    (new,) = submitted(alpha, 1, now=now, command="new")

    with CaptureQueriesContext(connection) as captured:
        written = write_jobs([new, changed + 2, changed + 1, changed], with_content=True)

    assert written.ids == [new, changed + 2, changed + 1, changed]
    assert written.array.encode() == expected(alpha.submitter, Search())
    (read,) = [item["sql"] for item in captured if '"working_directory"' in item["sql"]]
    assert f"IN ({new},{changed})" in read.replace(", ", ",")


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["cluster", "label", "state", "priority"])
def test_what_is_shown_is_never_old(alpha: Member, now: datetime, change: str) -> None:
    submitted(alpha, 2, now=now)
    before = submitter(alpha).get("jobs")

    match change:
        case "cluster":
            Cluster.objects.filter(id=alpha.cluster.id).update(name="renamed")
        case "label":
            Credential.objects.filter(cluster=alpha.cluster).update(label="renamed")
        case "state":
            Job.objects.update(state="cancelled", finished_at=now)
        case "priority":
            Job.objects.update(priority=7)
    after = submitter(alpha).get("jobs")

    assert after["ETag"] != before["ETag"]
    assert results_in(after.content) == expected(alpha.submitter, Search())
    assert results_in(after.content) != results_in(before.content)


@pytest.mark.django_db
def test_who_may_not_see_what_jobs_are_gets_nothing_of_what_was_written_for_others(
    alpha: Member, now: datetime
) -> None:
    submitted(alpha, 2, now=now)
    seen = submitter(alpha).get("jobs")

    hidden = signed_in("jobs.view_job").get("jobs")
    seen_again = submitter(alpha).get("jobs")

    assert results_in(hidden.content) == expected(Operator(user_id=0, name=""), Search(), with_content=False)
    assert seen_again.content == seen.content


@pytest.mark.django_db
def test_jobs_that_are_gone_are_left_out(alpha: Member, now: datetime) -> None:
    ids = submitted(alpha, 3, now=now)
    write_jobs(ids, with_content=True)
    Job.objects.filter(id=ids[1]).delete()

    assert write_jobs(ids, with_content=True).ids == [ids[0], ids[2]]

    Job.objects.all().delete()
    assert write_jobs(ids, with_content=True) == ("[]", [], [])


@pytest.mark.django_db
def test_one_that_goes_while_it_is_read_takes_no_other_along(
    alpha: Member, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = submitted(alpha, 3, now=now)
    write_jobs(ids[1:], with_content=True)
    versions_of = job_rows.versions_of

    def then_gone(asked: Any) -> dict[int, str]:
        found = versions_of(asked)
        Job.objects.filter(id=ids[0]).delete()
        return found

    monkeypatch.setattr(job_rows, "versions_of", then_gone)

    assert write_jobs(ids, with_content=True).ids == ids[1:]


@pytest.mark.django_db
def test_jobs_that_are_kept_do_not_make_an_answer_larger(
    alpha: Member, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = submitted(alpha, 4, now=now, command="x" * 60_000)
    write_jobs(ids, with_content=True)
    monkeypatch.setattr(job_rows, "ANSWER_BYTES", 100_000)

    assert write_jobs(ids, with_content=True).ids == ids[:2]


@pytest.mark.django_db
def test_pages_one_after_the_other_have_all_jobs(alpha: Member, now: datetime) -> None:
    ids = submitted(alpha, 5, now=now)
    write_jobs([ids[1], ids[3]], with_content=True)
    guest, path, found = submitter(alpha), "jobs?page_size=2", list[int]()

    while path:
        page = guest.get(path).json()
        found += [job["id"] for job in page["results"]]
        path = (page["next"] or "").partition("/api/v1/")[2]

    assert found == sorted(ids, reverse=True)
    assert set(kept_jobs[True].of(ids)) == set(ids)
    assert len(list_jobs(by=alpha.submitter, search=Search()).jobs) == len(ids)


def test_the_last_used_are_kept_as_many_as_fit() -> None:
    kept = KeptJobs(most_bytes=3_000)
    job = WrittenJob("1", "x" * 800)

    kept.keep({1: job, 2: job, 3: job})
    kept.of([1])
    kept.keep({4: job})

    assert set(kept.of([1, 2, 3, 4])) == {1, 3, 4}

    kept.keep({5: WrittenJob("1", "x" * 5_000)})
    assert len(kept) == 0


def test_the_same_job_again_takes_no_more_room() -> None:
    kept = KeptJobs(most_bytes=2_000)

    for version in map(str, range(100)):
        kept.keep({1: WrittenJob(version, "x" * 800), 2: WrittenJob(version, "x")})

    assert kept.of([1, 2])[1].version == "99"
    assert len(kept) == 2
