"""A job as it is submitted, and the rules for it."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

from clusters.sql.moments import as_datetime, timestamp
from clusters.validation import check_line, check_lines, check_range, size_in_bytes
from jobs.spec_rules import RULES, check_said, check_variable
from jobs.states import OnLost
from rainbow.errors import InvalidArgument

MAX_INT = 2**31 - 1
MAX_NAME = 255
MAX_COMMAND_BYTES = 64 * 1024
MAX_ENVIRONMENT_BYTES = 64 * 1024
MAX_LABELS = 32
MAX_LABEL_VALUE = 255
MAX_PATH = 4096
MAX_KEY = 255
MAX_PRIORITY = 100
MAX_TIME_LIMIT_SECONDS = 365 * 24 * 3600
MAX_EXPIRY = timedelta(days=365)

_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")


# Marks of a field.
_LONG = {"long": True}  # its text may fill an answer
_CONTENT = {"content": True}  # it shows what the job runs, which takes a permission of its own to see
_UNLISTED = {"unlisted": True}  # lists of jobs leave it out


# Kinds of fields, beside numbers, texts, truth values and mappings of texts.
Texts = tuple[str, ...]
Moment = datetime | None
Index = int | None


# Not frozen: that makes construction three times slower, and one submission or request makes thousands.
@dataclass(slots=True, kw_only=True)
class JobDescription:
    """What a submitter says of a job for its cluster. Each field is a column, and is offered to the cluster.

    0, False, None and empty mean not said, except for nodes, command, priority and array_index.
    """

    command: str = field(metadata=_LONG | _CONTENT)
    name: str = ""
    nodes: int = 1
    tasks: int = 0
    priority: int = 0
    time_limit_seconds: int = 0
    environment: Mapping[str, str] = field(default_factory=dict, metadata=_LONG | _CONTENT | _UNLISTED)
    working_directory: str = field(default="", metadata=_LONG | _CONTENT)
    labels: Mapping[str, str] = field(default_factory=dict, metadata=_LONG)
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
    options_by_cluster: Mapping[str, str] = field(default_factory=dict, metadata=_LONG)
    image: str = field(default="", metadata=_LONG | _CONTENT)
    mounts: Texts = field(default=(), metadata=_LONG | _CONTENT)
    needs: Texts = field(default=(), metadata=_LONG)
    start_within_seconds: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict, metadata=_LONG | _CONTENT)
    group: int = 0
    array_index: Index = None
    inputs: Mapping[str, str] = field(default_factory=dict, metadata=_LONG | _CONTENT)
    input_urls: Mapping[str, str] = field(default_factory=dict, metadata=_LONG | _CONTENT)
    outputs: Texts = field(default=(), metadata=_LONG | _CONTENT)


@dataclass(slots=True, kw_only=True)
class JobSpec(JobDescription):
    """A job as it is submitted: also what only the server acts on. Each field is a column."""

    on_lost: OnLost = OnLost.KEEP
    clusters: Texts = field(default=(), metadata=_LONG)
    spill_after_seconds: int = 0
    hold_if_unservable: bool = False
    expires_at: Moment = None
    signature: str = field(default="", metadata=_LONG | _UNLISTED)
    retry_most: int = 0
    retry_on: Texts = field(default=(), metadata=_LONG)
    after: Texts = field(default=(), metadata=_LONG)
    resubmission_of: int = 0
    idempotency_key: str = ""

    def fingerprint(self, submitter: int | str | None) -> bytes:
        """Tells a retry from another job under the same key: SHA-256 of what was said, and of the submitter:
        a credential's id, or the person or project that it speaks for.

        A field that is not said is left out, so that a release which adds one does not change what is there. So is the
        signature, which each try makes anew.
        """
        defaults = _DEFAULTS if says_more(self) else _BASIC_DEFAULTS
        said = {name: value for name, default in defaults.items() if (value := getattr(self, name)) != default}
        said.pop("signature", None)
        return _digest([_FINGERPRINT_VERSION, submitter, said])

    def has_fingerprint(self, fingerprint: bytes, submitter: int | str | None) -> bool:
        """Also in the form of version 1."""
        if fingerprint == self.fingerprint(submitter):
            return True
        content = {name: getattr(self, name) for name in _DEFAULTS}
        if any(content[name] != _DEFAULTS[name] for name in content.keys() - _FIELDS_OF_VERSION_1):
            return False
        return fingerprint == _digest([submitter, {name: content[name] for name in _FIELDS_OF_VERSION_1}])


def says_more(job: Any) -> bool:
    """Whether a job, or the specification of one, says anything of OPTIONAL_FIELDS."""
    return any(_OPTIONAL_VALUES(job)) or job.array_index is not None


def asks_more(job: Any) -> bool:
    """The same of ASKED_FIELDS, which are for its cluster: earlier clients would not heed them."""
    return any(_ASKED_VALUES(job)) or job.array_index is not None


def columns_of(specs: Sequence[JobSpec]) -> dict[str, list[Any]]:
    """For each column that holds what was said of a job, the values of these jobs, as a database takes them.

    Without those that have a default where none of the jobs says any of them.
    """
    further = any(map(says_more, specs))
    columns = {name: list(map(attrgetter(name), specs)) for name in (SPEC_FIELDS if further else _BASIC)}
    for name in columns.keys() & _WRITTEN.keys():
        columns[name] = list(map(_WRITTEN[name], columns[name]))
    columns["on_lost"] = [wish.value for wish in columns["on_lost"]]
    columns["idempotency_key"] = [key or None for key in columns["idempotency_key"]]
    return columns


def values_read(values: dict[str, Any]) -> dict[str, Any]:
    """Fields, all or some, as raw SQL reads them, as a job has them."""
    for name, read in _READERS.items():
        if name in values:
            values[name] = read(values[name])
    return values


def _mapping_read(text: str) -> dict[str, str]:
    # PostgreSQL keeps an order of its own.
    return dict(sorted(json.loads(text).items())) if text != "{}" else {}


def _list_read(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text != "[]" else ()


def _of_kind(kind: object) -> tuple[str, ...]:
    return tuple(item.name for item in fields(JobSpec) if item.type == kind)


def _marked(mark: str) -> tuple[str, ...]:
    return tuple(item.name for item in fields(JobSpec) if mark in item.metadata)


DESCRIPTION_FIELDS = tuple(item.name for item in fields(JobDescription))
SPEC_FIELDS = tuple(item.name for item in fields(JobSpec))
MAPPINGS, LISTS, FLAGS = _of_kind(Mapping[str, str]), _of_kind(Texts), _of_kind(bool)
MOMENTS, INDEXES = _of_kind(Moment), _of_kind(Index)
LONG_FIELDS, CONTENT_FIELDS, UNLISTED_FIELDS = _marked("long"), _marked("content"), _marked("unlisted")

# What a field holds that is not said. A command is always said.
_DEFAULTS: dict[str, object] = {
    item.name: None if item.default is item.default_factory is MISSING else getattr(JobSpec(command=""), item.name)
    for item in fields(JobSpec)
}
_FINGERPRINT_VERSION = 2
# Version 1 hashed all fields that a job had then, also those that were not said.
_FIELDS_OF_VERSION_1 = frozenset({
    "command", "name", "nodes", "tasks", "priority", "time_limit_seconds", "environment", "working_directory",
    "labels", "on_lost", "idempotency_key",
})  # fmt: skip


# Most jobs say no more than these.
_BASIC_DEFAULTS = {name: default for name, default in _DEFAULTS.items() if name in _FIELDS_OF_VERSION_1}

# These columns have a default in the database, and most jobs say none of them.
OPTIONAL_FIELDS = tuple(name for name in SPEC_FIELDS if name not in _FIELDS_OF_VERSION_1)
_OPTIONAL_VALUES = attrgetter(*OPTIONAL_FIELDS)
ASKED_FIELDS = tuple(name for name in OPTIONAL_FIELDS if name in DESCRIPTION_FIELDS)
_ASKED_VALUES = attrgetter(*ASKED_FIELDS)
_BASIC = tuple(name for name in SPEC_FIELDS if name not in OPTIONAL_FIELDS)
_RULED_VALUES = attrgetter(*RULES)


def _hashed(value: Any) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else dict(value)


# Made once: json.dumps would make one for each job.
_encode = json.JSONEncoder(sort_keys=True, default=_hashed).encode


def _digest(content: list[object]) -> bytes:
    return hashlib.sha256(_encode(content).encode()).digest()


def _mapping_as_json(mapping: Mapping[str, str]) -> str:
    return json.dumps(dict(mapping), sort_keys=True) if mapping else "{}"


def _list_as_json(texts: Texts) -> str:
    """In their order; what is said twice is said once."""
    return json.dumps(list(dict.fromkeys(texts))) if texts else "[]"


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(MAPPINGS, _mapping_read),
    **dict.fromkeys(LISTS, _list_read),
    **dict.fromkeys(FLAGS, bool),
    **dict.fromkeys(MOMENTS, as_datetime),
}
_WRITTEN: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(MAPPINGS, _mapping_as_json),
    **dict.fromkeys(LISTS, _list_as_json),
    **dict.fromkeys(MOMENTS, timestamp),
}


def check_spec(spec: JobSpec) -> None:
    """Raises InvalidArgument with the name of the first field that breaks its rule."""
    check_line(spec.name, field="name", longest=MAX_NAME)
    if not spec.command.strip():
        raise InvalidArgument("must not be empty", field="command")
    check_lines(spec.command, field="command", longest=MAX_COMMAND_BYTES)
    check_range(spec.nodes, field="nodes", lowest=1, highest=MAX_INT)
    # Most jobs say none of these, and many come at once.
    if spec.tasks or spec.priority or spec.time_limit_seconds:
        check_range(spec.tasks, field="tasks", lowest=0, highest=MAX_INT)
        check_range(spec.priority, field="priority", lowest=-MAX_PRIORITY, highest=MAX_PRIORITY)
        check_range(spec.time_limit_seconds, field="time_limit_seconds", lowest=0, highest=MAX_TIME_LIMIT_SECONDS)
    if spec.idempotency_key:
        check_line(spec.idempotency_key, field="idempotency_key", longest=MAX_KEY)
    if spec.environment:
        _check_environment(spec.environment)
    if spec.working_directory:
        _check_working_directory(spec.working_directory)
    if spec.labels:
        check_labels(spec.labels)
    values = _RULED_VALUES(spec)
    if any(values):
        check_said({name: value for name, value in zip(RULES, values, strict=True) if value})


def check_expiry(expires_at: Moment, *, now: datetime) -> None:
    """Apart from the other rules, since what was right once is not for ever. Raises InvalidArgument."""
    if expires_at is not None and not now < expires_at <= now + MAX_EXPIRY:
        raise InvalidArgument(f"must be in the future, at most {MAX_EXPIRY.days} days ahead", field="expires_at")


def check_labels(labels: Mapping[str, str]) -> None:
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
    if not path.startswith("/"):
        raise InvalidArgument("must be an absolute path", field="working_directory")
