"""A field of a job passes through all that has one: none forgets it, and each hands it on.

The values are made from the declaration, so that a new field is tested as soon as it is declared.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clusters.facts import Facts
from clusters.models import Cluster
from grpc_api.rpcs import messages
from jobs import specs as server
from jobs.models import Job, JobGroup
from jobs.queries.lookup import find_jobs, get_jobs
from jobs.queries.queue import QueuedJob, request_jobs
from jobs.rest.job_serializers import WITH_CONTENT, JobSerializer, QueuedJobSerializer
from jobs.rest.spec_serializers import KeyedJobSpecSerializer
from jobs.services.inputs import keep_input
from jobs.services.orders import Order
from jobs.services.submit import submit_jobs
from rainbow import offers, records, translation
from rainbow import specs as client
from rainbow.agent.journal import Entry, Journal
from rainbow.commands import job as job_command
from rainbow.commands import submit as submit_command
from rainbow.protos import rainbow_pb2 as pb
from rainbow.specs import OnLost

ROOT = Path(__file__).parent.parent
# A job that has ended.
PARENT = 1_000_000_000
# Values that are no field's default, and allowed in every field of their kind but these.
VALUES: dict[object, Any] = {
    int: 3, str: "/x", bool: True, Mapping[str, str]: {"A": "/x"}, OnLost: OnLost.REQUEUE,
    client.Index: 3,
    client.Moment: datetime(2026, 12, 1, 12, 0, tzinfo=UTC),
}  # fmt: skip
INPUT = b"x"
FURTHER_VALUES: dict[str, Any] = {
    "gpu_type": "a100",
    "options_by_cluster": {"alpha:qos": "/x"},
    "mounts": ("/x:/y", "/a:/b:ro"),
    "needs": ("x>=3", "gpu"),
    "start_within_seconds": 60,
    "clusters": ("alpha",),
    "secrets": {"A": "site:x"},
    "resubmission_of": PARENT,
    "retry_on": ("timed_out", "exit_code:75"),
    "after": (f"any:{PARENT}",),
    "outputs": ("x/*.csv", "y"),
    "inputs": {"x/y": hashlib.sha256(INPUT).hexdigest()},
    "input_urls": {"z": f"https://example.org/z#sha256={'0' * 64}"},
}
PLAIN = {"command": "true", "nodes": 1, "tasks": 0, "priority": 0, "time_limit_seconds": 0, "on_lost": "keep"}
# Not of the job, but of its submission: test_people_rpc.py.
BESIDE = {"project"}
WHOLE = client.JobSpec(
    **{
        item.name: FURTHER_VALUES.get(item.name) or VALUES[item.type]
        for item in fields(client.JobSpec)
        if item.name not in BESIDE
    }
)
# Not on a job's page: the name is its title, and the others are for programs.
NOT_FACTS = {"name", "on_lost", "idempotency_key", "signature"}
# What operators see who may not see what jobs run.
FOR_ALL_OPERATORS = {
    "name", "nodes", "tasks", "priority", "time_limit_seconds", "labels", "cores_per_task", "gpus_per_task", "gpu_type",
    "memory_mib_per_node", "exclusive", "account", "partition", "qos", "reservation", "constraint",
    "options_by_cluster", "needs", "start_within_seconds", "group", "array_index",
}  # fmt: skip
# Whose the work is, and what that one signed, an agent looks up; as whom it runs, and its secrets, the site says.
OF_WORK = tuple(item.name for item in fields(client.Work) if item.name not in client.BESIDE_DESCRIPTION)
MOST_FILES = 10


def message_fields(message: Any) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}


def defaults(spec: type[Any]) -> dict[str, Any]:
    def default(item: Field[Any]) -> Any:
        return item.default_factory() if item.default_factory is not MISSING else item.default

    return {item.name: default(item) for item in fields(spec) if item.name != "on_lost"}


def submitted(member: Any, now: datetime) -> int:
    ended = {
        "state": "completed",
        "submitted_at": now,
        "finished_at": now,
        "submitted_by_id": member.submitter.credential,
    }
    Job.objects.create(id=PARENT, cluster=member.cluster, **PLAIN, **ended)
    spec = messages.spec_from(translation.job_spec(WHOLE))
    JobGroup.objects.create(
        id=WHOLE.group,
        cluster=member.cluster,
        submitted_by_id=member.submitter.credential,
        made_at=now,
        added_at=now,
        open=True,
    )
    keep_input(caller=member.submitter, project="", content=INPUT, now=now)
    (receipt,) = submit_jobs(
        orders=[Order(by=member.submitter, cluster_id=member.submitter.cluster_id, spec=spec)], now=now
    )
    return int(receipt.job_id)


def said(job: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(job, name) for name in names}


def in_json(values: dict[str, Any]) -> Any:
    return json.loads(json.dumps(values, default=lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}"))


def test_both_sides_declare_the_same_fields() -> None:
    assert {**defaults(server.JobSpec), **dict.fromkeys(BESIDE, "")} == defaults(client.JobSpec)
    assert set(server.SPEC_FIELDS) | BESIDE == set(client.SPEC_FIELDS)
    assert set(server.DESCRIPTION_FIELDS) == set(client.DESCRIPTION_FIELDS)
    assert set(OF_WORK) <= set(client.DESCRIPTION_FIELDS)
    assert (server.MAPPINGS, server.LISTS, server.MOMENTS) == (client.MAPPINGS, client.LISTS, client.MOMENTS)


@pytest.mark.parametrize("message", [pb.JobSpec, pb.SubmitJobRequest, pb.Job])
def test_the_messages_have_each_field(message: Any) -> None:
    assert set(server.SPEC_FIELDS) <= message_fields(message)


def test_the_messages_have_no_further_ones() -> None:
    assert message_fields(pb.JobSpec) == set(server.SPEC_FIELDS) | BESIDE
    assert message_fields(pb.SubmitJobRequest) - set(server.SPEC_FIELDS) - BESIDE == {"cluster", "token", "sent"}


def test_each_field_is_a_column() -> None:
    assert set(server.SPEC_FIELDS) <= {field.column for field in Job._meta.concrete_fields}


def test_a_single_and_a_bulk_submission_say_the_same() -> None:
    one = translation.submit_request(WHOLE, cluster="alpha", token="t")
    many = translation.job_spec(WHOLE)

    assert messages.spec_from(one) == messages.spec_from(many)
    assert said(messages.spec_from(many), server.DESCRIPTION_FIELDS) == said(WHOLE, server.DESCRIPTION_FIELDS)


def has_what_is_needed(member: Any) -> None:
    Cluster.objects.filter(id=member.cluster.id).update(facts=Facts(values={"x": 3, "gpu": "a100"}).said())


@pytest.mark.django_db
def test_each_field_comes_to_the_cluster(alpha: Any, now: datetime) -> None:
    has_what_is_needed(alpha)
    job_id = submitted(alpha, now)

    (queued,) = request_jobs(caller=alpha.puller, shared=True, now=now)
    (entry,) = messages.entries_that_fit([queued], "alpha")
    answer = pb.RequestJobsResponse(jobs=dict([entry]), jobids=[job_id])
    (offered,) = offers.waiting_jobs(answer, cluster="alpha", most=0).jobs

    assert said(queued, server.DESCRIPTION_FIELDS) == said(WHOLE, server.DESCRIPTION_FIELDS)
    assert said(offered, client.DESCRIPTION_FIELDS) == said(WHOLE, client.DESCRIPTION_FIELDS)
    assert said(client.work_of(offered), OF_WORK) == said(WHOLE, OF_WORK)


def test_each_field_of_its_work_is_in_an_agents_journal(tmp_path: Path, now: datetime) -> None:
    work = client.work_of(WHOLE)

    with Journal(tmp_path) as journal:
        journal.accepted([Entry(jobid=1, attempt=1, work=work)], now=now)
        (entry,) = journal.unreported()

    assert entry.work == work


@pytest.mark.django_db
def test_each_field_comes_back_to_the_submitter(alpha: Any, now: datetime) -> None:
    job_id = submitted(alpha, now)

    (job,) = find_jobs(by=alpha.submitter, job_ids=[job_id]).jobs
    found = translation.job(messages.job_to_message(job, brief=False))

    assert said(found, client.SPEC_FIELDS) == said(WHOLE, client.SPEC_FIELDS)


@pytest.mark.django_db
def test_the_rest_api_takes_and_shows_each_field(alpha: Any, now: datetime) -> None:
    has_what_is_needed(alpha)
    job_id = submitted(alpha, now)
    (queued,) = request_jobs(caller=alpha.puller, shared=True, now=now)

    shown = JobSerializer(get_jobs(by=alpha.submitter, job_ids=[job_id])[job_id], context={WITH_CONTENT: True}).data

    assert set(KeyedJobSpecSerializer().fields) == set(server.SPEC_FIELDS) | BESIDE
    assert {name: shown[name] for name in client.SPEC_FIELDS} == in_json(said(WHOLE, client.SPEC_FIELDS))
    assert QueuedJobSerializer(queued).data == in_json(said(queued, tuple(item.name for item in fields(QueuedJob))))


def test_the_command_line_has_an_option_for_each_field() -> None:
    assert set(client.SPEC_FIELDS) - {"signature"} <= {param.name for param in submit_command.command.params}


def test_the_command_line_shows_each_field() -> None:
    plain = {"command": "true", "nodes": 1}
    further = {item.name: None for item in fields(records.Job) if item.name not in client.SPEC_FIELDS}

    def shown(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
        job = records.Job(**{**further, "id": 1, "state": records.JobState.QUEUED, "cluster": "", **spec})
        return list(job_command._what_it_is(job))

    for name in client.SPEC_FIELDS:
        value = "/x" if name in BESIDE else getattr(WHOLE, name)
        assert shown({**plain, name: value}) != shown(plain), name


def test_the_console_shows_each_field() -> None:
    parts = ("job.html", "job_facts.html", "job_story.html", "job_content.html")
    page = "".join((ROOT / "templates" / "console" / part).read_text() for part in parts)

    assert {name for name in server.SPEC_FIELDS if f"job.{name}" not in page} <= NOT_FACTS


def test_of_each_field_it_is_decided_whether_it_takes_a_permission_to_see() -> None:
    assert set(server.DESCRIPTION_FIELDS) - set(server.CONTENT_FIELDS) == FOR_ALL_OPERATORS


def test_the_recipe_names_few_files() -> None:
    guide = (ROOT / "docs" / "development.md").read_text()
    (recipe,) = re.findall(r"### Add a field to a job\n(.*?)\n### ", guide, re.DOTALL)
    table = re.findall(r"^\| `([^`]+)` \|", recipe, re.MULTILINE)

    assert 5 <= len(table) <= MOST_FILES
    assert all((ROOT / path).exists() for path in table)
