from typing import Any

from rest_framework import serializers

from jobs.models import Job
from jobs.specs import (
    CONTENT_FIELDS,
    MAX_COMMAND_BYTES,
    MAX_INT,
    MAX_KEY,
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_NAME,
    MAX_PATH,
    MAX_PRIORITY,
    MAX_TIME_LIMIT_SECONDS,
    UNLISTED_FIELDS,
)
from jobs.states import JobState, OnLost
from rainbow_site.web.rest.fields import LINE, Choice, Input, Mapping, Number, Pairs, Text

# Patterns of the schema: what jobs/specs.py takes.
_COMMAND = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
_PATH = r"^(/[^\x00-\x1f\x7f-\x9f]*)?$"
_NO_NULL = r"^[^\x00]*$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_LABEL_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
# In a serializer's context: whether the caller may see what a job runs.
WITH_CONTENT = "with_content"
_CONTENT = "null for operators who may not see what jobs run"
_HIDDEN = frozenset({*CONTENT_FIELDS, "output"})


class JobSpecSerializer(Input):
    command = Text(max_length=MAX_COMMAND_BYTES, pattern=_COMMAND, help_text="what to run, up to 64 KiB")
    name = Text(max_length=MAX_NAME, pattern=LINE, allow_blank=True, default="")
    nodes = Number(min_value=1, max_value=MAX_INT, default=1)
    tasks = Number(min_value=0, max_value=MAX_INT, default=0, help_text="0 means not set")
    priority = Number(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, default=0, help_text="higher goes first")
    time_limit_seconds = Number(min_value=0, max_value=MAX_TIME_LIMIT_SECONDS, default=0, help_text="0 means not set")
    environment = Mapping(
        child=Text(allow_blank=True, pattern=_NO_NULL),
        names=_VARIABLE,
        default=dict,
        help_text="variables for the job, up to 64 KiB",
    )
    working_directory = Text(
        max_length=MAX_PATH, pattern=_PATH, allow_blank=True, default="", help_text="an absolute path on the cluster"
    )
    labels = Mapping(
        child=Text(allow_blank=True, max_length=MAX_LABEL_VALUE, pattern=LINE),
        names=_LABEL_KEY,
        most=MAX_LABELS,
        default=dict,
        help_text="up to 32, for finding and filtering jobs",
    )
    on_lost = Choice(OnLost.choices, default=OnLost.KEEP)

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        return {**values, "on_lost": OnLost(values["on_lost"])}


class KeyedJobSpecSerializer(JobSpecSerializer):
    idempotency_key = Text(max_length=MAX_KEY, pattern=LINE, allow_blank=True, default="")


class SubmitterSerializer(serializers.Serializer[object]):
    """The credential that a job was submitted with."""

    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # (a field, not the serializer's own label)


class JobBriefSerializer(serializers.ModelSerializer[Job]):
    id = serializers.IntegerField(read_only=True)
    cluster = serializers.CharField(source="cluster.name", read_only=True)
    command = serializers.CharField(allow_null=True, help_text=_CONTENT)
    working_directory = serializers.CharField(allow_null=True, help_text=_CONTENT)
    # Said here, since REST framework would take their ranges from the database in use.
    nodes = serializers.IntegerField()
    tasks = serializers.IntegerField(help_text="0 means not set")
    priority = serializers.IntegerField()
    time_limit_seconds = serializers.IntegerField(help_text="0 means not set")
    attempt = serializers.IntegerField()
    exit_code = serializers.IntegerField(allow_null=True)
    submitted_by = SubmitterSerializer(allow_null=True)
    state = serializers.ChoiceField(JobState.choices)
    on_lost = serializers.ChoiceField(OnLost.choices)
    labels = Pairs()

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id", "cluster", "name", "command", "nodes", "tasks", "state", "priority", "time_limit_seconds",
            "working_directory", "labels", "on_lost", "idempotency_key", "attempt", "agent", "native_id",
            "exit_code", "reason", "submitted_by", "submitted_at", "accepted_at", "started_at", "finished_at",
            "lost_at", "cancel_requested_at", "lease_expires_at",
        )  # fmt: skip
        read_only_fields = fields

    def to_representation(self, job: Job) -> dict[str, Any]:
        shown = super().to_representation(job)
        if self.context[WITH_CONTENT]:
            return shown
        return {name: None if name in _HIDDEN else value for name, value in shown.items()}


class JobSerializer(JobBriefSerializer):
    environment = Pairs(allow_null=True, help_text=_CONTENT)
    output = serializers.CharField(allow_null=True, help_text=f"the end of what it wrote; {_CONTENT}")

    class Meta(JobBriefSerializer.Meta):
        fields = (*JobBriefSerializer.Meta.fields, *UNLISTED_FIELDS, "output")
        read_only_fields = fields


class QueuedJobSerializer(serializers.Serializer[object]):
    """A waiting job as its cluster sees it."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    command = serializers.CharField()
    nodes = serializers.IntegerField()
    tasks = serializers.IntegerField()
    priority = serializers.IntegerField()
    time_limit_seconds = serializers.IntegerField()
    environment = Pairs()
    working_directory = serializers.CharField()
    labels = Pairs()
    attempt = serializers.IntegerField()
