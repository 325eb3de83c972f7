"""The bodies of the IRI Facility API, with PSI/J's JobSpec among them: what its published schema takes.

Unknown fields are refused in all objects: where the schema would let them pass, they would be dropped.
"""

from typing import Any

from rest_framework import serializers

from jobs.iri.states import STATES
from jobs.specs import MAX_NAME
from rainbow_site.web.rest.fields import Choice, Digits, Flag, Input, Mapping, Moment, Number, Query, Text, Texts

MAX_OFFSET = 10_000
MAX_LIMIT = 1_000
MAX_ARGUMENTS = 10_000
# Text takes what is not blank, as the schema's minLength of 1.
_OPTIONAL: dict[str, Any] = {"allow_null": True, "default": None}
# The services know the real bounds; these keep numbers to what they take.
_MOST = 2**53


def _texts(**options: Any) -> Texts:
    return Texts(child=Text(allow_blank=True), default=list, **options)


def _texts_by_name() -> Mapping:
    return Mapping(child=Text(allow_blank=True), names=".*", default=dict)


def _number() -> Number:
    return Number(min_value=1, max_value=_MOST, **_OPTIONAL)


class Described(Input):
    # Metadata that the schema gives each object but the JobSpec itself.
    attributes = serializers.JSONField(**_OPTIONAL)


class VolumeMountSerializer(Described):
    # (fields of the mount, not the serializer's own)
    source = Text()  # type: ignore[assignment]
    target = Text()
    read_only = Flag(default=True)  # type: ignore[assignment]


class ContainerSerializer(Described):
    image = Text()
    volume_mounts = VolumeMountSerializer(many=True, default=list)


class ResourcesSerializer(Described):
    node_count = _number()
    process_count = _number()
    processes_per_node = _number()
    cpu_cores_per_process = _number()
    gpu_cores_per_process = _number()
    exclusive_node_use = Flag(default=True)
    memory = _number()


class AttributesSerializer(Described):
    duration = _number()
    queue_name = Text(**_OPTIONAL)
    account = Text(**_OPTIONAL)
    reservation_id = Text(**_OPTIONAL)
    custom_attributes = _texts_by_name()


class JobSpecSerializer(Input):
    executable = Text(**_OPTIONAL)
    arguments = _texts(max_length=MAX_ARGUMENTS)
    container = ContainerSerializer(**_OPTIONAL)
    directory = Text(**_OPTIONAL)
    name = Text(**_OPTIONAL)
    inherit_environment = Flag(default=True)
    environment = _texts_by_name()
    stdin_path = Text(**_OPTIONAL)
    stdout_path = Text(**_OPTIONAL)
    stderr_path = Text(**_OPTIONAL)
    resources = ResourcesSerializer(**_OPTIONAL)
    attributes = AttributesSerializer(**_OPTIONAL)
    pre_launch = Text(**_OPTIONAL)
    post_launch = Text(**_OPTIONAL)
    launcher = Text(**_OPTIONAL)


class FiltersSerializer(Input):
    """Which jobs to list. What the schema leaves to the facility."""

    state = Choice([(state, state) for state in STATES], **_OPTIONAL)
    name = Text(max_length=MAX_NAME, **_OPTIONAL)


class Truth(serializers.BooleanField):
    """`true` or `false` in a query."""

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid", input="")
        return bool(data == "true")


class NoQuerySerializer(Query):
    pass


class SiteQuerySerializer(Query):
    modified_since = Moment(**_OPTIONAL)


class StatusQuerySerializer(Query):
    historical = Truth(default=True)
    include_spec = Truth(default=False)


class StatusesQuerySerializer(Query):
    offset = Digits(min_value=0, max_value=MAX_OFFSET, default=0)
    limit = Digits(min_value=0, max_value=MAX_LIMIT, default=100)
    historical = Truth(default=False)
    include_spec = Truth(default=False)
