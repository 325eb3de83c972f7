"""Signing in to the operators' room."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

PASSWORD = "only-for-the-tests"


@pytest.fixture
def vera(db: None) -> User:
    return User.objects.create_user("vera", password=PASSWORD, is_staff=True)


@pytest.mark.parametrize("target", ["", "//evil.example.org/", "https://evil.example.org/", "javascript:alert(1)"])
def test_signing_in_leads_to_the_dashboard_unless_to_a_page_of_ours(vera: User, target: str) -> None:
    client = Client()

    answer = client.post("/admin/login/", {"username": "vera", "password": PASSWORD, "next": target})

    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get(answer["Location"]).status_code == 200


def test_signing_in_leads_back_to_the_page_that_asked_for_it(vera: User) -> None:
    client = Client()
    asked = client.get("/admin/jobs/job/?state=failed")

    answer = client.post(asked["Location"], {"username": "vera", "password": PASSWORD})

    assert answer["Location"] == "/admin/jobs/job/?state=failed"
