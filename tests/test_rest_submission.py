"""Handing in jobs over REST: one, many, and again."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from jobs.models import Job
from jobs.rest.submission import MAX_HEADER_KEY
from tests.conftest import Member
from tests.support.rest import Rest, fields_at_fault, problem_in, puller, submitter

pytestmark = pytest.mark.django_db
FULL = {
    "command": "  ./simulate\n--steps 1000 ",
    "name": "simulate",
    "nodes": 2,
    "tasks": 8,
    "priority": -7,
    "time_limit_seconds": 3600,
    "environment": {"OMP_NUM_THREADS": "4", "EMPTY": ""},
    "working_directory": "/scratch/ada",
    "labels": {"team": "physics"},
    "cores_per_task": 2,
    "gpus_per_task": 1,
    "gpu_type": "a100",
    "memory_mib_per_node": 1024,
    "exclusive": True,
    "account": "physics",
    "partition": "gpu",
    "qos": "long",
    "reservation": "maintenance",
    "constraint": "a&b",
    "options_by_cluster": {"alpha:qos": "x"},
    "image": "debian",
    "mounts": ["/data:/data:ro"],
    "needs": ["gpus>=4", "!slow"],
    "start_within_seconds": 60,
    "on_lost": "requeue",
    "clusters": ["alpha"],
    "spill_after_seconds": 60,
    "hold_if_unservable": True,
}


@pytest.fixture
def guest(alpha: Member) -> Rest:
    return submitter(alpha)


def test_a_job_comes_back_as_it_was_submitted(guest: Rest) -> None:
    response = guest.post("jobs", FULL)

    assert response.status_code == 201
    receipt = response.json()
    assert response["Location"] == f"/api/v1/jobs/{receipt['id']}"
    assert receipt["cluster"] == "alpha"
    assert receipt["position"] == 1
    assert receipt["warning"] == "alpha has never asked for jobs"
    job = guest.get(f"jobs/{receipt['id']}").json()
    assert {name: job[name] for name in FULL} == FULL
    assert job["state"] == "queued"
    assert job["submitted_by"]["label"] == "default"


def test_a_command_alone_is_enough(guest: Rest) -> None:
    job = guest.get(f"jobs/{guest.post('jobs', {'command': 'hostname'}).json()['id']}").json()

    assert (job["nodes"], job["tasks"], job["priority"], job["on_lost"]) == (1, 0, 0, "keep")


def test_times_are_utc_in_the_form_of_rfc_3339(guest: Rest) -> None:
    job = guest.get(f"jobs/{guest.post('jobs', {'command': 'hostname'}).json()['id']}").json()

    assert job["submitted_at"].endswith("Z")
    assert datetime.fromisoformat(job["submitted_at"]).utcoffset() is not None


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "command"),
        ({"command": ""}, "command"),
        ({"command": " \n"}, "command"),
        ({"command": 7}, "command"),
        ({"command": "a\x07"}, "command"),
        ({"command": "a" * 65_537}, "command"),
        ({"command": "ü" * 40_000}, "command"),
        ({"nodes": 0}, "nodes"),
        ({"nodes": "2"}, "nodes"),
        ({"nodes": 1.5}, "nodes"),
        ({"nodes": True}, "nodes"),
        ({"nodes": 2**31}, "nodes"),
        ({"nodes": None}, "nodes"),
        ({"tasks": -1}, "tasks"),
        ({"priority": 101}, "priority"),
        ({"time_limit_seconds": -1}, "time_limit_seconds"),
        ({"environment": []}, "environment"),
        ({"environment": {"1A": "x"}}, "environment"),
        ({"environment": {"A": 1}}, "environment.A"),
        ({"working_directory": "scratch"}, "working_directory"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"a": "x" * 256}}, "labels.a"),
        ({"cores_per_task": -1}, "cores_per_task"),
        ({"gpus_per_task": 1025}, "gpus_per_task"),
        ({"gpus_per_task": 1, "gpu_type": "a 1"}, "gpu_type"),
        ({"memory_mib_per_node": "64G"}, "memory_mib_per_node"),
        ({"exclusive": 1}, "exclusive"),
        ({"exclusive": "true"}, "exclusive"),
        ({"exclusive": None}, "exclusive"),
        ({"hold_if_unservable": 1}, "hold_if_unservable"),
        ({"clusters": ["beta"]}, "clusters"),
        *(
            ({"expires_at": written}, "expires_at")
            for written in (
                "tomorrow",
                "2036-12-01",
                "2036-12-01T12:00:00",
                1_700_000_000,
                "0001-01-01T00:00+14:00",
                True,
            )
        ),
        ({"expires_at": "2020-12-01T12:00:00Z"}, "expires_at"),
        ({"spill_after_seconds": 60}, "spill_after_seconds"),
        ({"start_within_seconds": 59}, "start_within_seconds"),
        ({"account": "-x"}, "account"),
        ({"constraint": "x" * 256}, "constraint"),
        ({"options_by_cluster": {"alpha": "x"}}, "options_by_cluster"),
        ({"options_by_cluster": {"alpha:qos": 1}}, "options_by_cluster.alpha:qos"),
        ({"image": "docker://debian"}, "image"),
        ({"image": "debian", "mounts": "/a:/b"}, "mounts"),
        ({"image": "debian", "mounts": ["/a:/b"] * 33}, "mounts"),
        ({"needs": ["a", "b c"]}, "needs"),
        ({"needs": ["a", 1]}, "needs.1"),
        ({"needs": {"a": "b"}}, "needs"),
        ({"on_lost": "explode"}, "on_lost"),
        ({"on_lost": {}}, "on_lost"),
        ({"node": 2}, "node"),
        ({"idempotency_key": "x"}, "idempotency_key"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(guest: Rest, content: dict, field: str) -> None:
    sent = content if "command" in content or not content else {"command": "hostname", **content}

    response = guest.post("jobs", sent)

    assert response.status_code == 400
    assert fields_at_fault(response) == [field]
    assert not Job.objects.exists()


def test_the_same_key_and_body_are_the_same_job(guest: Rest) -> None:
    first = guest.post("jobs", FULL, Idempotency_Key="once")

    second = guest.post("jobs", FULL, Idempotency_Key="once")

    assert second.status_code == first.status_code == 201
    assert second.json() == first.json()
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Job.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(guest: Rest) -> None:
    guest.post("jobs", {"command": "a"}, Idempotency_Key="once")

    response = guest.post("jobs", {"command": "b"}, Idempotency_Key="once")

    assert response.status_code == 409
    assert fields_at_fault(response) == ["idempotency_key"]


def test_the_time_at_which_a_job_expires_is_shown_in_utc(guest: Rest) -> None:
    hour = timezone(timedelta(hours=1))
    tomorrow = (datetime.now(hour) + timedelta(days=1)).replace(microsecond=0)

    job_id = guest.post("jobs", {"command": "true", "expires_at": tomorrow.isoformat()}).json()["id"]
    never = guest.post("jobs", {"command": "true", "expires_at": None}).json()["id"]

    assert guest.get(f"jobs/{job_id}").json()["expires_at"] == f"{tomorrow.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert guest.get(f"jobs/{never}").json()["expires_at"] is None


@pytest.mark.parametrize("key", ["", "ü", "x" * (MAX_HEADER_KEY + 1), "a\tb"])
@pytest.mark.parametrize("path", ["jobs", "jobs/batch"])
def test_a_key_that_cannot_be_one_is_refused(guest: Rest, path: str, key: str) -> None:
    content = {"command": "a"} if path == "jobs" else {"jobs": [{"command": "a"}]}

    response = guest.post(path, content, Idempotency_Key=key)

    assert response.status_code == 400
    assert fields_at_fault(response) == ["Idempotency-Key"]


def test_many_jobs_each_get_their_result(guest: Rest) -> None:
    jobs = [{"command": "a"}, {"command": "b", "working_directory": "x"}, {"command": "c", "priority": 9}]

    response = guest.post("jobs/batch", {"jobs": jobs})

    assert response.status_code == 200
    first, refused, last = response.json()["results"]
    assert first["error"] is last["error"] is None
    assert (first["position"], last["position"]) == (2, 1)
    assert refused == {
        "id": None,
        "duplicate": False,
        "position": 0,
        "error": {"code": "INVALID_ARGUMENT", "field": "working_directory", "detail": "must be an absolute path"},
    }


def test_what_is_wrong_in_a_batch_is_named_with_its_place(guest: Rest) -> None:
    response = guest.post("jobs/batch", {"jobs": [{"command": "a"}, {"command": "b", "nodes": 0}, {}]})

    assert fields_at_fault(response) == ["jobs.1.nodes", "jobs.2.command"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("jobs", [[], [{"command": "a"}] * 10_001, "a", [1]])
def test_a_batch_has_one_to_ten_thousand_jobs(guest: Rest, jobs: object) -> None:
    assert guest.post("jobs/batch", {"jobs": jobs}).status_code == 400


def test_a_batch_repeated_under_its_key_makes_no_second_job(guest: Rest) -> None:
    content = {"jobs": [{"command": "a"}, {"command": "a"}, {"command": "b", "idempotency_key": "mine"}]}
    first = guest.post("jobs/batch", content, Idempotency_Key="k" * MAX_HEADER_KEY)

    second = guest.post("jobs/batch", content, Idempotency_Key="k" * MAX_HEADER_KEY)

    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert [item["id"] for item in second.json()["results"]] == [item["id"] for item in first.json()["results"]]
    assert Job.objects.count() == 3


def test_another_batch_under_the_same_key_is_refused_as_a_whole(guest: Rest) -> None:
    guest.post("jobs/batch", {"jobs": [{"command": "a"}]}, Idempotency_Key="once")

    response = guest.post("jobs/batch", {"jobs": [{"command": "b"}, {"command": "c"}]}, Idempotency_Key="once")

    assert response.status_code == 409
    assert problem_in(response)["errors"][0]["detail"] == "another job was submitted under this key"
    assert Job.objects.count() == 1


def test_keys_of_the_jobs_alone_refuse_only_their_own(guest: Rest) -> None:
    guest.post("jobs/batch", {"jobs": [{"command": "a", "idempotency_key": "x"}]})

    jobs = [{"command": "b", "idempotency_key": "x"}, {"command": "c"}]
    response = guest.post("jobs/batch", {"jobs": jobs})

    refused, queued = response.json()["results"]
    assert refused["error"]["code"] == "ALREADY_EXISTS"
    assert queued["id"]


def test_submitting_to_a_paused_cluster_goes_on_and_says_so(alpha: Member, guest: Rest) -> None:
    puller(alpha).post("clusters/alpha/pause", {"reason": "maintenance"})

    assert guest.post("jobs", {"command": "a"}).json()["warning"] == "alpha is paused: maintenance"


def test_what_one_submission_says_is_not_of_the_next(alpha: Member) -> None:
    guest = submitter(alpha)
    guest.post("jobs", {"command": "a", "labels": {"team": "physics"}, "environment": {"A": "1"}, "nodes": 0})
    guest.post("jobs", {"command": "a", "labels": {"team": "physics"}, "environment": {"A": "1"}, "nodes": 2})

    second = guest.post("jobs", {"command": "b"}).json()["id"]

    job = guest.get(f"jobs/{second}").json()
    assert (job["command"], job["labels"], job["environment"], job["nodes"]) == ("b", {}, {}, 1)


def test_a_job_waits_for_another(guest: Rest) -> None:
    parent = guest.post("jobs", {"command": "true"}).json()["id"]

    child = guest.post("jobs", {"command": "true", "after": [f"any:{parent}"]}).json()
    refused = guest.post("jobs", {"command": "true", "after": ["2000000000"]})

    job = guest.get(f"jobs/{child['id']}").json()
    assert (child["position"], job["state"], job["after"]) == (0, "blocked", [f"any:{parent}"])
    assert job["why_waiting"].startswith(f"waits for job {parent} to end (queued)")
    assert refused.status_code == 400
    assert refused.json()["errors"] == [{"field": "after", "detail": "there is no such job: 2000000000"}]
