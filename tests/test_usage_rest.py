"""Usage over REST: of all for operators, and of people for themselves, as JSON and as CSV."""

from datetime import date, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.callers import Operator
from jobs.sql.statements import run_in_order
from jobs.sql.usage import usage_added
from tests.support.console import signed_in
from tests.support.members import browser_of, person_named, personal_token, project_of

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 1)
ALL, MINE = "/api/v1/usage", "/api/v1/me/usage"
DAY = "since=2026-11-01&until=2026-11-01"


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def used(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> Any:
    chem = project_of(alice, bob, now=now)
    for who, jobs in ((alice, 1), (bob, 2)):
        run_in_order(usage_added({(TODAY, alpha.cluster.id, chem.id, who.user_id): (jobs, jobs * 60)}))
    return chem


def with_token(value: str) -> Client:
    return Client(headers={"authorization": f"Bearer {value}"})


def rows_in(answer: Any) -> list[tuple[str, int, int]]:
    assert answer.status_code == 200, answer.content
    return [(row["person"], row["jobs"], row["node_seconds"]) for row in answer.json()["usage"]]


def test_operators_get_the_usage_of_all(used: Any) -> None:
    answer = signed_in("olga", "operators").get(f"{ALL}?{DAY}")

    assert rows_in(answer) == [("alice", 1, 60), ("bob", 2, 120)]
    assert answer.json()["usage"][0] == {
        "day": "2026-11-01", "cluster": "alpha", "project": "chem", "person": "alice", "jobs": 1, "node_seconds": 60,
    }  # fmt: skip


def test_people_get_their_own_with_a_token_and_on_a_page(used: Any, alice: Operator, now: datetime) -> None:
    reading = personal_token(alice, now=now, reads_only=True)
    for client in (with_token(reading), browser_of(alice)):
        assert rows_in(client.get(f"{MINE}?{DAY}&by=person")) == [("alice", 1, 60)]
        assert client.get(f"{ALL}?{DAY}").status_code in (401, 403)


def test_who_is_no_person_gets_none(used: Any, alpha: Any) -> None:
    for value in (alpha.token, alpha.secret, "rbu_wrong"):
        assert with_token(value).get(f"{MINE}?{DAY}").status_code == 401
    assert Client().get(f"{MINE}?{DAY}").status_code == 401


def test_rows_come_as_csv_by_accept_and_by_format(used: Any) -> None:
    client = signed_in("olga", "operators")
    by_format = client.get(f"{ALL}?{DAY}&by=day,person&format=csv")
    by_header = client.get(f"{ALL}?{DAY}&by=person,day", headers={"accept": "text/csv"})

    assert by_format["Content-Type"] == by_header["Content-Type"] == "text/csv; charset=utf-8"
    assert by_format.content == by_header.content
    assert by_format.content.decode().split("\r\n") == [
        "day,person,jobs,node_seconds", "2026-11-01,alice,1,60", "2026-11-01,bob,2,120", "",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["=1+1", "@SUM(A1)", "+1", "-1", '=HYPERLINK("x","y")'])
def test_no_cell_is_a_formula(alpha: Any, name: str, now: datetime) -> None:
    person = person_named(name)
    run_in_order(usage_added({(TODAY, alpha.cluster.id, None, person.user_id): (1, 1)}))

    text = signed_in("olga", "operators").get(f"{ALL}?{DAY}&by=person&format=csv").content.decode()

    assert text.split("\r\n")[1].lstrip('"').startswith(f"'{name[0]}")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2026-11-1x", "since"),
        ("since=yesterday", "since"),
        ("since=2026-11-02&until=2026-11-01", "until"),
        ("since=2020-01-01&until=2026-11-01", "until"),
        ("by=", "by"),
        ("by=day,day", "by"),
        ("by=queue", "by"),
        ("format=xml", "format"),
        ("sinse=2026-11-01", "sinse"),
        ("person=a%00b", "person"),
        ("person=a%C2%9Bb", "person"),
        ("project=%C2%9B", "project"),
        ("cluster=a%20b", "cluster"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_a_query_that_is_wrong_is_refused_with_its_field(query: str, field: str, accept: str) -> None:
    answer = signed_in("olga", "operators").get(f"{ALL}?{query}", headers={"accept": accept})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert answer["Content-Type"].startswith("application/problem+json")


def test_without_days_the_last_thirty_are_told(used: Any) -> None:
    found = signed_in("olga", "operators").get(ALL).json()
    since, until = date.fromisoformat(found["since"]), date.fromisoformat(found["until"])

    assert (until - since).days == 29
    assert signed_in("otto", "operators").get(f"{ALL}?until=0001-01-01").json()["usage"] == []


@pytest.mark.parametrize("path", [ALL, MINE])
def test_a_first_day_that_is_yet_to_come_is_also_the_last_unless_it_is_said(path: str) -> None:
    found = signed_in("olga", "operators").get(f"{path}?since=3485-04-21&person=%F3%BA%93%A3").json()

    assert found == {**found, "since": "3485-04-21", "until": "3485-04-21", "usage": []}
