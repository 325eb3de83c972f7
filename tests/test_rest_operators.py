"""Operators at the REST API: a signed-in member of staff, with the permissions of the admin."""

import re
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from jobs.models import JobEvent
from jobs.rest import permissions
from tests.conftest import Member
from tests.support.queue import submitted
from tests.support.rest import Rest, problem_in, puller, submitter

pytestmark = pytest.mark.django_db
ALL = ("clusters.view_cluster", "clusters.change_cluster", "clusters.view_credential", "jobs.view_job")
ALL += ("clusters.manage_credential", "jobs.change_job", "jobs.see_content_of_job")
PAGES = ["jobs", "jobs/batch", "jobs/cancel", "jobs/{job}", "jobs/{job}/events", "jobs/{job}/cancel", "clusters"]
PAGES += [f"clusters/alpha{end}" for end in ("", "/pause", "/credentials", "/queue")]


def signed_in(*names: str, staff: bool = True) -> Rest:
    """A person with these permissions."""
    user, _ = User.objects.get_or_create(username="ada", defaults={"is_staff": staff})
    user.user_permissions.set([permission(name) for name in names])
    rest = Rest()
    rest.client.force_login(user)
    return rest


def permission(name: str) -> Permission:
    app, _, codename = name.partition(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def test_every_permission_that_the_rest_api_asks_for_exists() -> None:
    names = [value for name, value in vars(permissions).items() if name.isupper()]

    assert names
    assert all(permission(name) for name in names)


def test_operators_see_and_stop_the_jobs_of_all_clusters(alpha: Member, beta: Member, now: datetime) -> None:
    jobs = [*submitted(alpha, now=now), *submitted(beta, now=now)]
    operator = signed_in(*ALL)

    assert [job["id"] for job in operator.get("jobs?ordering=id").json()["results"]] == jobs
    assert {cluster["name"] for cluster in operator.get("clusters").json()} == {"alpha", "beta"}
    outcomes = operator.post("jobs/cancel", {"ids": jobs, "reason": "flood"}).json()["results"]
    assert [item["outcome"] for item in outcomes] == ["cancelled", "cancelled"]
    assert {event.who for event in JobEvent.objects.filter(what="cancelled")} == {"ada"}


@pytest.mark.parametrize(
    ("method", "path", "content", "needed"),
    [
        ("get", "jobs", None, "jobs.view_job"),
        ("get", "jobs/{job}", None, "jobs.view_job"),
        ("get", "clusters", None, "clusters.view_cluster"),
        ("get", "clusters/alpha/credentials", None, "clusters.view_credential"),
        ("get", "clusters/alpha/events", None, "clusters.view_cluster"),
        ("post", "jobs/cancel", {"ids": [999]}, "jobs.change_job"),
        ("post", "jobs/{job}/cancel", {}, "jobs.change_job"),
        ("post", "clusters/alpha/pause", {"reason": "noon"}, "clusters.change_cluster"),
    ],
)
def test_an_account_does_what_its_permission_says(
    alpha: Member, now: datetime, method: str, path: str, content: Any, needed: str
) -> None:
    (job,) = submitted(alpha, now=now)
    path = path.format(job=job)

    without = getattr(signed_in(*(name for name in ALL if name != needed)), method)(path, content)
    having = getattr(signed_in(needed), method)(path, content)

    assert without.status_code == 403
    assert problem_in(without)["detail"] == "the account lacks the permission for this call"
    assert having.status_code == 200, having.content


def test_an_account_that_is_not_staff_may_do_nothing(alpha: Member) -> None:
    assert signed_in(*ALL, staff=False).get("jobs").status_code == 403


@pytest.mark.parametrize("path", ["jobs", "jobs/batch"])
def test_operators_submit_with_a_token_like_everybody(alpha: Member, path: str) -> None:
    response = signed_in(*ALL).post(path, {"command": "a"})

    assert response.status_code == 401
    assert problem_in(response)["detail"] == "a cluster token is required"


def test_what_a_job_runs_is_for_operators_who_may_see_it(alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now, environment={"A": "b"}, working_directory="/home/ada/secret-project")

    blind = signed_in("jobs.view_job")
    hidden, listed = blind.get(f"jobs/{job}").json(), blind.get("jobs").json()["results"][0]
    shown = signed_in("jobs.view_job", "jobs.see_content_of_job").get(f"jobs/{job}").json()

    for name in ("command", "environment", "output", "working_directory"):
        assert (name, hidden[name], listed.get(name)) == (name, None, None)
    assert (shown["command"], shown["environment"], shown["output"]) == ("hostname", {"A": "b"}, "")
    assert shown["working_directory"] == "/home/ada/secret-project"


def test_operators_let_jobs_wait_shorter_and_elsewhere(alpha: Member, beta: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    operator = signed_in(*ALL)

    sooner = operator.post("jobs/prioritize", {"ids": [job, 999], "priority": 9, "reason": "tonight"})
    moved = operator.post("jobs/move", {"ids": [job], "cluster": "beta", "reason": "alpha is full"})

    assert sooner.json()["results"] == [{"id": job, "refusal": ""}, {"id": 999, "refusal": "there is no such job"}]
    assert moved.json()["results"] == [{"id": job, "refusal": ""}]
    shown = operator.get(f"jobs/{job}").json()
    assert (shown["cluster"], shown["priority"]) == ("beta", 9)
    nowhere = operator.post("jobs/move", {"ids": [job], "cluster": "nothing", "reason": "x"})
    assert nowhere.status_code == 404


@pytest.mark.parametrize("path", ["jobs/prioritize", "jobs/move"])
def test_what_only_operators_do_is_refused_to_others(alpha: Member, path: str) -> None:
    assert [guest.post(path).status_code for guest in (submitter(alpha), puller(alpha), Rest())] == [401, 401, 401]
    assert signed_in("jobs.view_job").post(path).status_code == 403


def test_a_session_changes_nothing_without_its_csrf_token(alpha: Member, now: datetime) -> None:
    (job,) = submitted(alpha, now=now)
    operator = signed_in(*ALL)
    operator.client.handler.enforce_csrf_checks = True

    refused = operator.post(f"jobs/{job}/cancel")

    assert refused.status_code == 403
    assert "CSRF" in problem_in(refused)["detail"]
    page = operator.client.get("/api/v1/jobs", headers={"Accept": "text/html"}).content.decode()
    token = re.search(r'"csrfToken": "(\w+)"', page)
    assert token
    assert operator.post(f"jobs/{job}/cancel", X_CSRFToken=token[1]).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_work_for_a_signed_in_operator(alpha: Member, now: datetime, path: str) -> None:
    (job,) = submitted(alpha, now=now)
    path = path.format(job=job)

    page = signed_in(*ALL).client.get(f"/api/v1/{path}", headers={"Accept": "text/html"})

    assert page.status_code in (200, 401, 405)
    assert page["Content-Type"] == "text/html; charset=utf-8"
    text = page.content.decode()
    assert "ada" in text
    # As the policy demands: no script of its own, nothing from elsewhere.
    assert "<script>" not in text
    assert not re.search(r'(src|href)="(https?:)?//', text)


def test_the_pages_wear_the_consoles_header(alpha: Member) -> None:
    text = signed_in(*ALL).client.get("/api/v1/jobs", headers={"Accept": "text/html"}).content.decode()

    assert '<a id="site-name" href="/admin/">rainbow</a>' in text
    assert "Django REST framework" not in text
