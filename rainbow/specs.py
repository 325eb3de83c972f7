"""A job as its submitter describes it, and the rules for it. An agent applies them to whatever a server sends.

The server has the same rules (jobs/specs.py), and a test compares them. Each check raises InvalidArgument, with the
name of the field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from rainbow.errors import InvalidArgument
from rainbow.rules import MAX_INT, check_control_in_lines, check_line, check_range, size_in_bytes
from rainbow.spec_rules import RULES, SITE_OPTIONS, check_said, check_variable

MAX_NAME = 255
MAX_COMMAND_BYTES = 64 * 1024
MAX_ENVIRONMENT_BYTES = 64 * 1024
MAX_LABELS = 32
MAX_LABEL_VALUE = 255
MAX_PATH = 4096
MAX_PRIORITY = 100
MAX_TIME_LIMIT_SECONDS = 365 * 24 * 3600

_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")


# Kinds of fields, beside numbers, texts, truth values and mappings of texts.
Texts = tuple[str, ...]
Moment = datetime | None
Index = int | None


class OnLost(StrEnum):
    """What happens to a job when contact with its agent is lost; unspecified means keep."""

    UNSPECIFIED = "unspecified"
    KEEP = "keep"
    REQUEUE = "requeue"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDescription:
    """What a submitter says of a job for its cluster.

    0, False, None and empty mean not said, except for nodes, command, priority and array_index.
    """

    command: str
    name: str = ""
    nodes: int = 1
    tasks: int = 0
    priority: int = 0
    time_limit_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    working_directory: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    cores_per_task: int = 0
    gpus_per_task: int = 0
    gpu_type: str = ""
    memory_mib_per_node: int = 0
    exclusive: bool = False
    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    constraint: str = ""
    options_by_cluster: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    mounts: Texts = ()
    needs: Texts = ()
    start_within_seconds: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict)
    group: int = 0
    array_index: Index = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    input_urls: Mapping[str, str] = field(default_factory=dict)
    outputs: Texts = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec(JobDescription):
    """A job as it is submitted. The ranges are those of SubmitJobRequest in rainbow.proto.

    An empty `idempotency_key` lets the client choose one. `expires_at` has a time zone. `project` is for a person's
    token; empty means the only one that may use the cluster.
    """

    idempotency_key: str = ""
    project: str = ""
    on_lost: OnLost = OnLost.UNSPECIFIED
    clusters: Texts = ()
    spill_after_seconds: int = 0
    hold_if_unservable: bool = False
    expires_at: Moment = None
    signature: str = ""
    retry_most: int = 0
    retry_on: Texts = ()
    after: Texts = ()
    resubmission_of: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What of a job reaches a scheduler. 0, False and empty mean not said.

    `owner` and `project` are whose job it is, as the server has it; `signature` is the owner's, if there is one.
    `run_as` is the Unix user that the site runs it as, `secret_values` has the values of its secrets, by variable, and
    `staged` is the folder with its files by their digests: only the site says them, just before the hand-over.
    """

    command: str
    nodes: int = 1
    tasks: int = 0
    time_limit_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    working_directory: str = ""
    cores_per_task: int = 0
    gpus_per_task: int = 0
    gpu_type: str = ""
    memory_mib_per_node: int = 0
    exclusive: bool = False
    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    constraint: str = ""
    options_by_cluster: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    mounts: Texts = ()
    start_within_seconds: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict)
    group: int = 0
    array_index: Index = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    input_urls: Mapping[str, str] = field(default_factory=dict)
    outputs: Texts = ()
    owner: str = ""
    project: str = ""
    run_as: str = ""
    signature: str = ""
    secret_values: Mapping[str, str] = field(default_factory=dict, repr=False)
    staged: str = ""

    def options(self, cluster: str) -> dict[str, str]:
        """The site options that hold at this cluster, by name, without those that are not said."""
        held = {name: self.options_by_cluster.get(f"{cluster}:{name}", getattr(self, name)) for name in SITE_OPTIONS}
        return {name: value for name, value in held.items() if value}


# Of Work, what is no part of the description that submitters sign.
BESIDE_DESCRIPTION = ("owner", "project", "run_as", "signature", "secret_values", "staged")


def _of_kind(kind: object) -> tuple[str, ...]:
    return tuple(item.name for item in fields(JobSpec) if item.type == kind)


DESCRIPTION_FIELDS = tuple(item.name for item in fields(JobDescription))
SPEC_FIELDS = tuple(item.name for item in fields(JobSpec))
MAPPINGS, LISTS = _of_kind(Mapping[str, str]), _of_kind(Texts)
MOMENTS, INDEXES = _of_kind(Moment), _of_kind(Index)


def values_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as JSON and messages have them, as a job has them."""
    in_order = {name: dict(sorted(values[name].items())) for name in MAPPINGS if name in values}
    return {**values, **in_order, **{name: tuple(values[name]) for name in LISTS if name in values}}


def is_index(name: str, value: Any) -> bool:
    """Whether it says something although it may be 0."""
    return name in INDEXES and value is not None


def work_of(job: JobDescription) -> Work:
    return Work(**{item.name: getattr(job, item.name) for item in fields(Work) if hasattr(job, item.name)})


def check_attempt(job: JobDescription, *, jobid: int, attempt: int) -> None:
    """For a job that a server offers or has given."""
    check_range(jobid, field="id", lowest=1, highest=MAX_INT)
    check_range(attempt, field="attempt", lowest=1, highest=MAX_INT)
    check_description(job)


def check_description(job: JobDescription) -> None:
    check_line(job.name, field="name", longest=MAX_NAME)
    check_range(job.priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
    check_work(job)
    _check_labels(job.labels)


def check_work(work: Work | JobDescription) -> None:
    _check_command(work.command)
    check_range(work.nodes, field="nodes", lowest=1, highest=MAX_INT)
    check_range(work.tasks, field="tasks", lowest=0, highest=MAX_INT)
    check_range(work.time_limit_seconds, field="time_limit_seconds", lowest=0, highest=MAX_TIME_LIMIT_SECONDS)
    _check_environment(work.environment)
    _check_working_directory(work.working_directory)
    check_said({name: value for name in RULES if (value := getattr(work, name, None))})


def _check_command(command: str) -> None:
    if not command.strip():
        raise InvalidArgument("must not be empty", field="command")
    size = size_in_bytes(command, field="command")
    if size > MAX_COMMAND_BYTES:
        raise InvalidArgument(f"must be at most {MAX_COMMAND_BYTES:,} bytes, not {size:,}", field="command")
    check_control_in_lines(command, field="command")


def _check_environment(environment: Mapping[str, str]) -> None:
    size = 0
    for name, value in environment.items():
        check_variable(name, field="environment")
        if "\0" in value:
            raise InvalidArgument("values must not contain a null character", field="environment")
        size += len(name) + size_in_bytes(value, field="environment")
    if size > MAX_ENVIRONMENT_BYTES:
        raise InvalidArgument(
            f"must be at most {MAX_ENVIRONMENT_BYTES:,} bytes in all, not {size:,}", field="environment"
        )


def _check_working_directory(path: str) -> None:
    check_line(path, field="working_directory", longest=MAX_PATH)
    if path and not path.startswith("/"):
        raise InvalidArgument("must be an absolute path", field="working_directory")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > MAX_LABELS:
        raise InvalidArgument(f"must be at most {MAX_LABELS}, not {len(labels):,}", field="labels")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise InvalidArgument(
                "keys must be 1 to 63 letters, digits, dots, underscores, slashes and hyphens,"
                " the first a letter or digit",
                field="labels",
            )
        check_line(value, field="labels", longest=MAX_LABEL_VALUE)
