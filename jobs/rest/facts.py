"""What clusters say of themselves, as agents report it and as it is shown."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from clusters.facts import (
    MAX_COUNT,
    MAX_GPU_TYPES,
    MAX_NUMBER,
    MAX_PARTITIONS,
    MAX_TEXT,
    MAX_TEXTS,
    MAX_VALUES,
    Facts,
    Partition,
    Value,
)
from clusters.needs import NAME
from rainbow_site.web.rest.fields import LINE, Input, Number, Text

_TEXT = {"type": "string", "maxLength": MAX_TEXT, "pattern": LINE}


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": MAX_VALUES,
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": {
            "oneOf": [
                {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
                _TEXT,
                {"type": "array", "items": {**_TEXT, "minLength": 1}, "maxItems": MAX_TEXTS},
            ]
        },
    }
)
class Values(serializers.Field[dict[str, Value], Any, Any, Any]):
    default_error_messages = {"invalid": "must be an object of numbers, texts and lists of texts"}

    def to_internal_value(self, data: Any) -> dict[str, Value]:
        if not isinstance(data, dict) or not all(map(_is_value, data.values())):
            self.fail("invalid")
        return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}

    def to_representation(self, value: dict[str, Value]) -> dict[str, Any]:
        return {name: list(one) if isinstance(one, tuple) else one for name, one in value.items()}


class Gpus(serializers.DictField):
    def __init__(self, **options: Any) -> None:
        super().__init__(child=Number(min_value=0, max_value=MAX_COUNT), **options)

    def to_internal_value(self, data: Any) -> dict[str, int]:
        if isinstance(data, dict) and len(data) > MAX_GPU_TYPES:
            raise serializers.ValidationError(f"must be at most {MAX_GPU_TYPES}, not {len(data):,}")
        return dict(super().to_internal_value(data))


class PartitionSerializer(Input):
    """Equal nodes of a partition; unequal ones are told apart. 0 and empty mean not told."""

    name = Text(max_length=MAX_TEXT, pattern=LINE)
    nodes = Number(min_value=0, max_value=MAX_COUNT, default=0)
    cores_per_node = Number(min_value=0, max_value=MAX_COUNT, default=0)
    memory_mib_per_node = Number(min_value=0, max_value=MAX_COUNT, default=0)
    gpus_per_node = Gpus(
        default=dict, help_text='by type, which is empty where it is unknown; `{"": 0}` tells that there are none'
    )
    longest_seconds = Number(
        min_value=0, max_value=MAX_COUNT, default=0, help_text="the longest time limit of a job; 0 means no limit"
    )
    max_nodes = Number(min_value=0, max_value=MAX_COUNT, default=0, help_text="the most of one job; 0 means no limit")
    default = serializers.BooleanField(default=False, help_text="whether jobs that name no partition go there")
    features = serializers.ListField(child=Text(max_length=MAX_TEXT), max_length=MAX_TEXTS, default=list)

    def to_internal_value(self, data: Any) -> Partition:
        said = super().to_internal_value(data)
        return Partition(**{**said, "features": tuple(said["features"])})


class FactsSerializer(Input):
    """What a cluster says of itself, up to 64 KiB."""

    values = Values(default=dict)
    partitions = PartitionSerializer(many=True, max_length=MAX_PARTITIONS, default=list)  # type: ignore[call-arg]

    def to_internal_value(self, data: Any) -> Facts:
        said = super().to_internal_value(data)
        return Facts(values=said["values"], partitions=tuple(said["partitions"]))


def _is_value(value: object) -> bool:
    if isinstance(value, list):
        return len(value) <= MAX_TEXTS and all(isinstance(text, str) for text in value)
    return isinstance(value, str | int | float) and not isinstance(value, bool)
