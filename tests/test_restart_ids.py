"""The way out when the 32-bit job ids run out: `manage.py restartids`."""

from collections.abc import Callable, Iterator
from datetime import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from jobs.models import MAX_ID, Job
from jobs.services.cancel import cancel_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.prune import prune_jobs
from jobs.services.restart import PLENTY, IdRange, restart_ids
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from rainbow.errors import FailedPrecondition, ResourceExhausted
from tests.conftest import Member

# PostgreSQL alters no table that its transaction has written to, so these tests commit.
pytestmark = pytest.mark.django_db(transaction=True)

Submit = Callable[[], int]


@pytest.fixture
def sqlite_only() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("is about SQLite")


@pytest.fixture(autouse=True)
def fresh_ids(transactional_db: None) -> Iterator[None]:
    """The other tests use the same table, those before as well."""
    _begin_anew()
    yield
    _begin_anew()


def _begin_anew() -> None:
    Job.objects.all().delete()
    if connection.vendor == "postgresql":
        _execute(f"ALTER TABLE jobs_job ALTER COLUMN id SET MAXVALUE {MAX_ID} RESTART WITH 1")
    else:
        _execute("DELETE FROM sqlite_sequence WHERE name = 'jobs_job'")


@pytest.fixture
def submit(alpha: Member, now: datetime) -> Submit:
    def submit() -> int:
        order = Order(by=alpha.submitter, cluster_id=alpha.cluster.id, spec=JobSpec(command="hostname"))
        receipt = submit_jobs(orders=[order], now=now)[0]
        assert isinstance(receipt, Receipt)
        return receipt.job_id

    return submit


def next_id_is(number: int) -> None:
    """As if all ids before it had been given."""
    if connection.vendor == "postgresql":
        _execute(f"SELECT setval('jobs_job_id_seq', {number}, false)")
    else:
        _execute("DELETE FROM sqlite_sequence WHERE name = 'jobs_job'")
        _execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs_job', {number - 1})")


def end(member: Member, job_id: int, now: datetime) -> None:
    cancel_jobs(by=member.submitter, job_ids=[job_id], now=now)


def restartids() -> str:
    said = StringIO()
    call_command("restartids", stdout=said)
    return said.getvalue()


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_used_up_ids_refuse_a_job_and_store_nothing(submit: Submit) -> None:
    next_id_is(MAX_ID)
    last = submit()

    with pytest.raises(ResourceExhausted, match="an operator has to make room"):
        submit()

    assert list(Job.objects.values_list("id", flat=True)) == [last] == [MAX_ID]


def test_after_pruning_everything_ids_start_at_1(alpha: Member, submit: Submit, now: datetime) -> None:
    next_id_is(MAX_ID)
    end(alpha, submit(), now)
    call_command("prune", "--older-than=0", stdout=StringIO())

    said = restartids()

    assert said == "New jobs get the ids 1 to 2,147,483,647.\n"
    assert [submit(), submit()] == [1, 2]


def test_a_second_restart_changes_nothing(submit: Submit) -> None:
    next_id_is(MAX_ID + 1 if connection.vendor == "sqlite" else MAX_ID)
    restartids()
    submit()

    said = restartids()

    assert said == "Nothing to do: 2 to 2,147,483,647 are left.\n"
    assert submit() == 2


def test_a_restart_waits_until_ids_run_out(submit: Submit) -> None:
    next_id_is(MAX_ID - PLENTY + 1)

    restart = restart_ids()

    assert not restart.changed
    assert submit() == MAX_ID - PLENTY + 1


def test_a_new_database_needs_no_restart() -> None:
    assert restartids() == "Nothing to do: 1 to 2,147,483,647 are left.\n"


def test_postgresql_takes_the_largest_range_between_the_records(postgresql_only: None, submit: Submit) -> None:
    for taken in (1000, 2_000_000_000, MAX_ID):
        next_id_is(taken)
        submit()

    restart = restart_ids()

    assert restart.ids == IdRange(first=1001, last=1_999_999_999)
    assert submit() == 1001


def test_postgresql_stops_before_the_next_record(postgresql_only: None, submit: Submit) -> None:
    for taken in (1000, 2_000_000_000, MAX_ID):
        next_id_is(taken)
        submit()
    restart_ids()
    next_id_is(1_999_999_999)
    submit()

    with pytest.raises(ResourceExhausted):
        submit()

    assert restart_ids().ids == IdRange(first=1001, last=1_999_999_998)


def test_sqlite_goes_on_after_the_newest_record(
    sqlite_only: None, alpha: Member, submit: Submit, now: datetime
) -> None:
    next_id_is(1000)
    waiting = submit()
    next_id_is(MAX_ID)
    end(alpha, submit(), now)
    prune_jobs(before=datetime.max.replace(tzinfo=now.tzinfo))

    restart = restart_ids()

    assert restart.ids == IdRange(first=waiting + 1, last=MAX_ID)
    assert submit() == 1001


def test_sqlite_says_when_the_newest_job_is_in_the_way(sqlite_only: None, submit: Submit) -> None:
    next_id_is(MAX_ID - 1)
    submit()

    with pytest.raises(FailedPrecondition, match="1 ids are left"):
        restart_ids()
    with pytest.raises(CommandError, match="prune more jobs, the newest above all"):
        restartids()

    assert submit() == MAX_ID


def test_postgresql_says_when_no_range_is_larger(postgresql_only: None, submit: Submit) -> None:
    for place in range(1, 24):
        next_id_is(place * 90_000_000)
        submit()
    next_id_is(MAX_ID)
    submit()

    restart = restart_ids()

    assert restart.ids == IdRange(first=1, last=89_999_999)
    with pytest.raises(FailedPrecondition, match="prune more jobs"):
        restart_ids()
    assert submit() == 1
