"""No query of the console's pages reads a whole table of jobs, of their events or of their labels."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.demo.stage import create_demo_data
from jobs.models import Job
from tests.support.console import signed_in

LARGE = ("jobs_job", "jobs_jobevent", "jobs_joblabel")
PAGES = [
    "/admin/",
    "/admin/clusters/cluster/",
    "/admin/clusters/cluster/{c}/change/",
    "/admin/jobs/job/",
    "/admin/jobs/job/?last=700",
    "/admin/jobs/job/?state=lost",
    "/admin/jobs/job/?cluster={c}",
    "/admin/jobs/job/?cluster={c}&state=failed&since=24h",
    "/admin/jobs/job/?cluster={c}&token={t}",
    "/admin/jobs/job/?label=project%3Dclimate",
    "/admin/jobs/job/?label=project%3Dnone",
    "/admin/jobs/job/?text=plot",
    "/admin/jobs/job/{j}/change/",
    "/admin/jobs/job/bulk/begin/cancel/?state=queued&cluster={c}",
]


@pytest.fixture
def no_small_tables(db: None) -> None:
    """PostgreSQL reads small tables whole, and rightly; here it is to show how it would read large ones."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")


def test_no_page_reads_a_large_table_whole(no_small_tables: None) -> None:
    create_demo_data(clusters=3, jobs=800, now=timezone.now())
    job = Job.objects.filter(state="queued", cluster__name="keebler").latest("id")
    client = signed_in("vera", "operators", sees_content=True)

    found = []
    for address in PAGES:
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address.format(c=job.cluster_id, j=job.id, t=job.submitted_by_id))
        assert page.status_code == 200, address
        statements = [query["sql"] for query in queries if not ends_at_once(query["sql"])]
        found += [(address, statement) for statement in statements if whole_reads(plan_of(statement))]

    assert found == []


def plan_of(statement: str) -> list[str]:
    if not statement.startswith("SELECT"):
        return []
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    with connection.cursor() as cursor:
        cursor.execute((explain + statement).replace("%", "%%"), [])
        return [str(row[-1]) for row in cursor.fetchall()]


def whole_reads(plan: list[str]) -> list[str]:
    """The lines of a plan that read a large table, or all of a cluster's jobs in it, from one end to the other."""
    large = "|".join(LARGE)
    whole = re.compile(rf"(Seq Scan on|SCAN) ({large})\b(?!.* USING)|SEARCH ({large})\b.*\((cluster_id|state)=\?\)")
    return [line for line in plan if whole.search(line)]


def ends_at_once(statement: str) -> bool:
    """The newest id: SQLite calls that a scan, and reads one row from the end."""
    return bool(re.fullmatch(r'SELECT "(\w+)"\."id" AS "id" FROM "\1" ORDER BY 1 DESC LIMIT 1', statement))


def test_a_whole_read_would_be_found(no_small_tables: None) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")

    assert whole_reads(plan_of("SELECT command FROM jobs_job WHERE exit_code = 3"))
