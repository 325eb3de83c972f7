"""The IRI Facility API: what it takes, what it answers, and that it does so by the rules of all other doors."""

import threading
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from jobs.iri import idempotency
from jobs.iri.job_spec_serializers import MAX_LIMIT, MAX_OFFSET, JobSpecSerializer
from jobs.iri.requests import asked
from jobs.iri.states import STATE_OF, STATES
from jobs.models import Job, JobEvent
from jobs.queries.lookup import get_jobs
from jobs.states import FINAL, JobState
from rainbow.errors import InvalidArgument
from rainbow_site.web.rest.admission import read
from tests.conftest import Member
from tests.support.facility import PUBLISHED, Facility
from tests.support.members import person_named, project_of, token_of
from tests.support.pools import pool_of
from tests.support.rest import Rest

pytestmark = pytest.mark.django_db

SPEC: dict[str, Any] = {
    "executable": "/usr/bin/python3",
    "arguments": ["-c", "print('a b')"],
    "name": "greeting",
    "directory": "/home/ada",
    "environment": {"OMP_NUM_THREADS": "4"},
    "resources": {
        "node_count": 2,
        "processes_per_node": 8,
        "cpu_cores_per_process": 4,
        "gpu_cores_per_process": 1,
        "exclusive_node_use": False,
        "memory": 2**31,
    },
    "attributes": {
        "duration": 600,
        "queue_name": "debug",
        "account": "m123",
        "reservation_id": "resv-42",
        "custom_attributes": {"constraint": "gpu", "qos": "high", "gpu_type": "a100", "priority": "-5"},
    },
}
ASKED = {
    "command": "/usr/bin/python3 -c 'print('\"'\"'a b'\"'\"')'",
    "name": "greeting",
    "working_directory": "/home/ada",
    "environment": {"OMP_NUM_THREADS": "4"},
    "nodes": 2,
    "tasks": 16,
    "cores_per_task": 4,
    "gpus_per_task": 1,
    "gpu_type": "a100",
    "exclusive": False,
    "memory_mib_per_node": 1024,
    "time_limit_seconds": 600,
    "partition": "debug",
    "account": "m123",
    "reservation": "resv-42",
    "constraint": "gpu",
    "qos": "high",
    "priority": -5,
}


@pytest.fixture
def facility(alpha: Member) -> Facility:
    return Facility(alpha.token)


def launched(facility: Facility, spec: Any = None, **headers: str) -> int:
    answer = facility.launch("alpha", spec or {"executable": "hostname"}, **headers)
    assert answer.status_code == 200, answer.content
    return int(answer.json()["id"])


def move(job: int, state: JobState, now: datetime) -> None:
    """As its cluster, or what it waits for, would have."""
    times = {"accepted_at": now, "started_at": now, "lost_at": now, "finished_at": now}
    untaken = {"queue_id": None, "unmet": 1} if state == JobState.BLOCKED else times
    finished = {} if state in FINAL else {"finished_at": None}
    Job.objects.filter(id=job).update(**{"state": state, "reason": "so it is", **untaken, **finished})


def command_of(**said: Any) -> str:
    return asked(read(JobSpecSerializer, {"executable": "./run", **said}))[0].command


def test_a_job_is_launched_with_all_that_its_spec_asks_for(facility: Facility) -> None:
    answer = facility.launch("alpha", SPEC)

    job = Job.objects.get(id=int(answer.json()["id"]))
    assert {name: getattr(job, name) for name in ASKED} == ASKED
    assert answer.json()["status"] == {"state": "queued", "time": job.submitted_at.timestamp()}
    assert JobEvent.objects.get(job=job).what == "submitted"


def test_a_job_says_again_what_it_was_launched_with(facility: Facility) -> None:
    job = launched(facility, SPEC)

    shown = facility.job("alpha", job, include_spec="true").json()["job_spec"]

    resources = {name: value for name, value in SPEC["resources"].items() if name != "processes_per_node"}
    assert shown == {**SPEC, "resources": {**resources, "process_count": 16}}
    assert facility.update("alpha", job, shown).status_code == 200


def test_a_container_is_an_image_with_mounts(facility: Facility) -> None:
    mounts = [{"source": "/data", "target": "/mnt"}, {"source": "/out", "target": "/out", "read_only": False}]
    spec = {"executable": "ls", "container": {"image": "docker.io/library/debian:12", "volume_mounts": mounts}}

    job = launched(facility, spec)

    found = Job.objects.get(id=job)
    assert (found.image, list(found.mounts)) == ("docker.io/library/debian:12", ["/data:/mnt:ro", "/out:/out"])
    shown = facility.job("alpha", job, include_spec="true").json()["job_spec"]["container"]
    assert shown["volume_mounts"] == [{**mounts[0], "read_only": True}, mounts[1]]


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ({"arguments": ["a b", "$HOME", "", "x\ny"]}, "./run 'a b' '$HOME' '' 'x\ny'"),
        ({"stdin_path": "in put", "stdout_path": "o", "stderr_path": "e"}, "./run < 'in put' > o 2> e"),
        ({"launcher": "srun"}, "srun ./run"),
        ({"launcher": "single"}, "./run"),
        ({"launcher": "mpirun", "resources": {"process_count": 6}}, "mpirun -np 6 ./run"),
        ({"pre_launch": "module load cuda"}, "module load cuda\n./run"),
        ({"post_launch": "echo done"}, "./run\nended=$?\necho done\nexit $ended"),
    ],
)
def test_what_a_shell_does_of_a_spec_is_in_the_command(said: dict[str, Any], command: str) -> None:
    assert command_of(**said) == command


@pytest.mark.parametrize(
    ("resources", "nodes", "tasks"),
    [
        ({}, 1, 0),
        ({"process_count": 6}, 1, 6),
        ({"node_count": 2, "process_count": 6}, 2, 6),
        ({"node_count": 2, "processes_per_node": 3}, 2, 6),
        ({"process_count": 6, "processes_per_node": 3}, 2, 6),
        ({"node_count": 2, "process_count": 6, "processes_per_node": 3}, 2, 6),
    ],
)
def test_two_numbers_of_processes_give_the_third(resources: dict[str, int], nodes: int, tasks: int) -> None:
    spec, _ = asked(read(JobSpecSerializer, {"executable": "x", "resources": resources}))

    assert (spec.nodes, spec.tasks) == (nodes, tasks)
    assert spec.exclusive  # as the schema has it where it is not said


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"executable": None}, "executable"),
        ({"inherit_environment": False}, "inherit_environment"),
        ({"launcher": "multiple"}, "launcher"),
        ({"launcher": "rm -rf /;"}, "launcher"),
        ({"container": {"image": "debian"}, "launcher": "srun"}, "launcher"),
        ({"container": {"image": "debian"}, "stdout_path": "/o"}, "stdout_path"),
        ({"container": {"image": "debian"}, "pre_launch": "true"}, "pre_launch"),
        ({"container": {"image": "debian", "attributes": {"a": 1}}}, "container.attributes"),
        (
            {"container": {"image": "debian", "volume_mounts": [{"source": "/a", "target": "/b:ro"}]}},
            "container.volume_mounts.0.target",
        ),
        ({"resources": {"attributes": {"a": 1}}}, "resources.attributes"),
        ({"resources": {"process_count": 7, "processes_per_node": 3}}, "resources.processes_per_node"),
        (
            {"resources": {"node_count": 4, "process_count": 6, "processes_per_node": 3}},
            "resources.processes_per_node",
        ),
        ({"attributes": {"custom_attributes": {"licenses": "matlab"}}}, "attributes.custom_attributes.licenses"),
        ({"attributes": {"custom_attributes": {"priority": "high"}}}, "attributes.custom_attributes.priority"),
        # These are for the services to refuse, by names of their own.
        ({"resources": {"node_count": 2**40}}, "resources.node_count"),
        ({"attributes": {"duration": 2**40}}, "attributes.duration"),
        ({"attributes": {"custom_attributes": {"priority": "500"}}}, "attributes.custom_attributes.priority"),
        ({"attributes": {"custom_attributes": {"project": "chem"}}}, "attributes.custom_attributes.project"),
        ({"attributes": {"queue_name": "--exclusive"}}, "attributes.queue_name"),
        ({"directory": "here"}, "directory"),
        ({"container": {"image": "http://debian"}}, "container.image"),
        ({"arguments": ["\x1b"]}, "executable"),
        ({"environment": {"A B": "1"}}, "environment"),
        ({"environment": {"RAINBOW_JOB_ID": "1"}}, "environment"),
    ],
)
def test_what_has_no_meaning_here_is_refused_by_its_name(facility: Facility, said: Any, place: str) -> None:
    answer = facility.launch("alpha", {"executable": "hostname", **said})

    assert answer.status_code == 422, answer.content
    assert [one["name"] for one in answer.json()["invalid_params"]] == [place]
    assert place in answer.json()["detail"]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"executable": ""}, "executable"),
        ({"executable": 7}, "executable"),
        ({"command": "ls"}, "command"),
        ({"arguments": "ls"}, "arguments"),
        ({"arguments": ["x"] * 10_001}, "arguments"),
        ({"inherit_environment": "yes"}, "inherit_environment"),
        ({"resources": {"nodes": 1}}, "resources.nodes"),
        ({"resources": {"node_count": 0}}, "resources.node_count"),
        ({"resources": {"node_count": 2**80}}, "resources.node_count"),
        ({"attributes": {"custom_attributes": {"qos": 1}}}, "attributes.custom_attributes.qos"),
        ({"container": {}}, "container.image"),
    ],
)
def test_what_the_schema_does_not_take_is_malformed(facility: Facility, said: Any, place: str) -> None:
    answer = facility.launch("alpha", {"executable": "hostname", **said})

    assert answer.status_code == 400
    assert [one["name"] for one in answer.json()["invalid_params"]] == [place]


@pytest.mark.parametrize("spec", [[], "hostname", 7, [[[]]]])
def test_a_body_that_is_no_spec_is_malformed(facility: Facility, spec: Any) -> None:
    assert facility.launch("alpha", spec).status_code == 400


def test_unknown_parameters_of_a_query_are_refused(facility: Facility) -> None:
    job = launched(facility)

    for answer in (
        facility.get("/compute/resources", "/compute/resources?a=1"),
        facility.job("alpha", job, history="true"),
        facility.job("alpha", job, historical="yes"),
        facility.jobs("alpha", limit=MAX_LIMIT + 1),
        facility.jobs("alpha", offset=MAX_OFFSET + 1),
        facility.jobs("alpha", {"status": "active"}),
        facility.jobs("alpha", {"state": "running"}),
    ):
        assert answer.status_code == 400


def test_the_same_key_and_body_give_the_same_answer(facility: Facility, now: datetime) -> None:
    first = facility.launch("alpha", SPEC, Idempotency_Key="monday")
    move(int(first.json()["id"]), JobState.RUNNING, now)

    second = facility.launch("alpha", SPEC, Idempotency_Key="monday")

    assert (second.status_code, second.json()) == (200, first.json())
    assert (first["Idempotency-Key-Reply"], second["Idempotency-Key-Reply"]) == ("miss", "hit")
    assert Job.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(facility: Facility) -> None:
    launched(facility, SPEC, Idempotency_Key="monday")

    answer = facility.launch("alpha", {**SPEC, "name": "another"}, Idempotency_Key="monday")

    assert answer.status_code == 422
    assert [one["name"] for one in answer.json()["invalid_params"]] == ["Idempotency-Key"]
    assert Job.objects.count() == 1


def test_a_key_that_is_in_flight_is_to_be_repeated(facility: Facility, alpha: Member) -> None:
    with idempotency.alone(alpha.submitter, "monday"):
        answer = facility.launch("alpha", SPEC, Idempotency_Key="monday")
        other = facility.launch("alpha", SPEC, Idempotency_Key="tuesday")

    assert (answer.status_code, answer["Retry-After"]) == (409, "1")
    assert other.status_code == 200
    assert facility.launch("alpha", SPEC, Idempotency_Key="monday").status_code == 200


def test_a_key_is_free_again_when_its_request_failed(alpha: Member) -> None:
    with pytest.raises(InvalidArgument), idempotency.alone(alpha.submitter, "monday"):
        raise InvalidArgument("no")

    with idempotency.alone(alpha.submitter, "monday"):
        assert threading.active_count()


@pytest.mark.parametrize("key", ["", "k" * 256, "\xe9"])
def test_a_key_that_cannot_protect_is_refused(facility: Facility, key: str) -> None:
    answer = facility.launch("alpha", SPEC, Idempotency_Key=key)

    assert answer.status_code == 422
    assert not Job.objects.exists()


def test_an_update_that_changes_nothing_succeeds(facility: Facility) -> None:
    job = launched(facility, SPEC)

    answers = [facility.update("alpha", job, SPEC, Idempotency_Key="again") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["id"] == str(job)


def test_an_update_names_what_cannot_change(facility: Facility) -> None:
    job = launched(facility, SPEC)

    attributes = {**SPEC["attributes"], "duration": 1200}
    answer = facility.update("alpha", job, {**SPEC, "attributes": attributes})

    assert answer.status_code == 422
    assert [one["name"] for one in answer.json()["invalid_params"]] == ["attributes.duration"]


@pytest.mark.parametrize("state", JobState)
def test_each_state_has_a_name_of_the_contract(facility: Facility, state: JobState, now: datetime) -> None:
    job = launched(facility)
    move(job, state, now)

    status = facility.job("alpha", job).json()["status"]

    assert status["state"] == STATE_OF[state]
    assert status["meta_data"]["state"] == state
    assert status["message"]
    listed = facility.jobs("alpha", {"state": STATE_OF[state]}, historical="true").json()
    assert [one["id"] for one in listed] == [str(job)]


def test_the_states_are_those_of_the_contract() -> None:
    assert list(STATES) == PUBLISHED["components"]["schemas"]["JobState"]["enum"]


def test_a_job_that_is_over_is_history(facility: Facility) -> None:
    job = launched(facility)
    assert facility.cancel("alpha", job).status_code == 204

    assert facility.job("alpha", job).json()["status"]["state"] == "canceled"
    assert facility.job("alpha", job, historical="false").status_code == 404
    assert facility.jobs("alpha").json() == []
    assert len(facility.jobs("alpha", historical="true").json()) == 1


def test_jobs_come_newest_first_by_offset_and_limit(facility: Facility) -> None:
    ids = [str(launched(facility)) for _ in range(5)]

    def listed(**query: object) -> list[str]:
        return [one["id"] for one in facility.jobs("alpha", **query).json()]

    assert listed() == ids[::-1]
    assert listed(offset=1, limit=2) == ids[::-1][1:3]
    assert listed(offset=4, limit=9) == ids[:1]
    assert listed(offset=9) == []
    assert listed(limit=0) == []


def test_jobs_are_filtered_by_name(facility: Facility) -> None:
    launched(facility)
    job = launched(facility, SPEC)

    answer = facility.jobs("alpha", {"name": "greeting"}, include_spec="true").json()

    assert [(one["id"], one["job_spec"]["environment"]) for one in answer] == [(str(job), SPEC["environment"])]


def test_specs_that_fill_more_than_an_answer_are_asked_for_in_parts(facility: Facility) -> None:
    spec = {"executable": "x", "environment": {"A": "x" * 60_000}}
    for _ in range(80):
        launched(facility, spec)

    assert facility.jobs("alpha", include_spec="true").status_code == 422
    assert len(facility.jobs("alpha", include_spec="true", limit=50).json()) == 50
    assert len(facility.jobs("alpha").json()) == 80


def test_a_cancel_may_be_repeated(facility: Facility) -> None:
    job = launched(facility)

    assert [facility.cancel("alpha", job).status_code for _ in range(2)] == [204, 204]


def test_what_ended_otherwise_cannot_be_cancelled(facility: Facility, now: datetime) -> None:
    job = launched(facility)
    move(job, JobState.COMPLETED, now)

    assert facility.cancel("alpha", job).status_code == 409


@pytest.mark.parametrize("job", ["0", "99", "2147483648", "9" * 99, "-1", "1.0", "\u0661", "x", "%00"])
def test_a_job_that_is_none_is_not_found(facility: Facility, job: str) -> None:
    for answer in (facility.job("alpha", job), facility.cancel("alpha", job), facility.update("alpha", job, SPEC)):
        assert answer.status_code == 404


def test_a_strangers_job_is_as_one_that_is_none(facility: Facility, mallory: Member) -> None:
    job, stranger = launched(facility), Facility(mallory.token)

    assert stranger.job("mallory", job).status_code == 404
    assert stranger.cancel("mallory", job).status_code == 404
    assert stranger.update("mallory", job, SPEC).status_code == 404
    assert stranger.jobs("mallory").json() == []
    assert stranger.job("alpha", job).status_code == 401
    assert stranger.launch("alpha", SPEC).status_code == 401
    assert Facility().jobs("alpha").status_code == 401


def test_a_secret_launches_nothing(alpha: Member) -> None:
    assert Facility(alpha.secret).launch("alpha", SPEC).status_code == 401


def test_the_resource_of_a_clusters_token_is_its_cluster(facility: Facility) -> None:
    [resource] = facility.resources().json()

    assert (resource["id"], resource["current_status"]) == ("alpha", "unknown")
    assert resource["description"] == "alpha has never asked for jobs"
    for uri, operation in (
        (resource["self_uri"], "/status/resources/{resource_id}"),
        (resource["site_uri"], "/facility/sites/{site_id}"),
    ):
        path = uri.partition("/iri/api/v2")[2]
        assert facility.get(operation, path).json()["id"] == "alpha"


def test_a_pool_is_a_resource(alpha: Member, now: datetime) -> None:
    pool = pool_of("alpha", now=now)
    facility = Facility(pool.token)

    [resource] = facility.resources().json()
    answer = facility.launch(resource["id"], SPEC)

    assert (resource["id"], resource["resource_type"]) == ("big", "urn:doe-iri:resource:compute")
    assert facility.job("big", answer.json()["id"]).status_code == 200


def test_a_persons_jobs_are_those_of_the_resource_that_is_named(alpha: Member, beta: Member, now: datetime) -> None:
    ada = person_named("ada")
    project_of(ada, at=("alpha", "beta"), now=now)
    facility = Facility(token_of(ada))

    job = launched(facility)

    assert {one["id"] for one in facility.resources().json()} == {"alpha", "beta"}
    assert facility.job("alpha", job).json()["status"]["meta_data"]["project"] == "chem"
    assert [one["id"] for one in facility.jobs("alpha").json()] == [str(job)]
    assert facility.jobs("beta").json() == []
    assert facility.job("beta", job).status_code == 404
    assert facility.cancel("beta", job).status_code == 404
    assert Job.objects.get(id=job).owner_id == ada.user_id


def test_a_person_names_the_project_that_pays(alpha: Member, now: datetime) -> None:
    ada = person_named("ada")
    for name in ("bio", "chem"):
        project_of(ada, name=name, now=now)
    facility = Facility(token_of(ada))
    spec = {"executable": "hostname", "attributes": {"custom_attributes": {"project": "bio"}}}

    job = launched(facility, spec)

    assert get_jobs(by=ada, job_ids=[job])[job].project == "bio"
    assert facility.launch("alpha", {"executable": "hostname"}).status_code == 422
    assert facility.update("alpha", job, spec).status_code == 200


def test_a_token_for_reading_lists_and_launches_nothing(alpha: Member, now: datetime) -> None:
    ada = person_named("ada")
    project_of(ada, now=now)
    facility = Facility(token_of(ada, reads_only=True))

    assert facility.jobs("alpha").status_code == 200
    assert facility.launch("alpha", SPEC).status_code == 403


def test_a_job_of_another_door_is_shown_as_well(facility: Facility, alpha: Member) -> None:
    job = Rest(alpha.token).post("jobs", {"command": "cd /tmp && ls > out", "labels": {"team": "physics"}}).json()["id"]

    shown = facility.job("alpha", job, include_spec="true").json()["job_spec"]

    assert (shown["executable"], shown["arguments"]) == ("/bin/sh", ["-c", "cd /tmp && ls > out"])
    # What a JobSpec cannot say makes it another.
    assert facility.update("alpha", job, shown).status_code == 422


def test_a_site_is_told_where_it_changed_since(facility: Facility, alpha: Member) -> None:
    path = "/facility/sites/alpha"
    modified = facility.get("/facility/sites/{site_id}", path).json()["last_modified"]

    def answered(since: str) -> int:
        query = urlencode({"modified_since": since})
        return int(facility.get("/facility/sites/{site_id}", f"{path}?{query}").status_code)

    assert [answered(since) for since in ("2020-01-01T00:00:00Z", modified, "2999-01-01T00:00:00Z")] == [200, 304, 304]
    assert [answered(since) for since in ("yesterday", "2020", "0001-01-01T00:00:00+23:00")] == [400, 400, 400]


def test_an_address_that_is_none_is_a_problem(facility: Facility) -> None:
    answer = facility.client.get("/iri/api/v2/compute/nowhere")

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
