"""Jobs as JSON."""

from typing import Any

from rest_framework import serializers

from clusters.rest.fields import Mapping, Number, Text
from jobs.leases import MAX_SECONDS
from jobs.models import MAX_ID, Job, JobEvent
from jobs.services import RefusalReason
from jobs.services.accept import MAX_IDS as MAX_ACCEPT
from jobs.services.cancel import MAX_IDS as MAX_CANCEL
from jobs.specs import (
    MAX_COMMAND_BYTES,
    MAX_INT,
    MAX_KEY,
    MAX_NAME,
    MAX_PATH,
    MAX_PRIORITY,
    MAX_TIME_LIMIT_SECONDS,
    JobSpec,
)
from jobs.states import JobState, OnLost

MAX_BATCH = 10_000


class JobSpecSerializer(serializers.Serializer[JobSpec]):
    command = Text(max_length=MAX_COMMAND_BYTES, help_text="what to run, up to 64 KiB")
    name = Text(max_length=MAX_NAME, allow_blank=True, default="")
    nodes = Number(min_value=1, max_value=MAX_INT, default=1)
    tasks = Number(min_value=0, max_value=MAX_INT, default=0, help_text="0 means not said")
    priority = Number(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, default=0, help_text="the higher goes first")
    time_limit_seconds = Number(min_value=0, max_value=MAX_TIME_LIMIT_SECONDS, default=0, help_text="0 means not said")
    environment = Mapping(default=dict, help_text="variables for the job, up to 64 KiB")
    working_directory = Text(
        max_length=MAX_PATH, allow_blank=True, default="", help_text="an absolute path on the cluster"
    )
    labels = Mapping(default=dict, help_text="up to 32, for finding and filtering jobs")
    on_lost = serializers.ChoiceField(OnLost.choices, default=OnLost.KEEP)

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        return {**values, "on_lost": OnLost(values["on_lost"])}


class KeyedJobSpecSerializer(JobSpecSerializer):
    idempotency_key = Text(max_length=MAX_KEY, allow_blank=True, default="")


class SubmitManySerializer(serializers.Serializer[object]):
    jobs = KeyedJobSpecSerializer(many=True, allow_empty=False, max_length=MAX_BATCH)  # type: ignore[call-arg]


class SubmittedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField()
    cluster = serializers.CharField()
    position = serializers.IntegerField(help_text="the job's place in the queue, 1 goes next; 0 when it does not wait")
    last_asked_at = serializers.DateTimeField(allow_null=True, help_text="when the cluster last asked for jobs")
    warning = serializers.CharField(help_text="why the job may wait long; empty when nothing is amiss")


class ItemErrorSerializer(serializers.Serializer[object]):
    code = serializers.CharField()
    field = serializers.CharField()
    detail = serializers.CharField()


class ItemSerializer(serializers.Serializer[object]):
    """One job of many: its id, or why it was refused."""

    id = serializers.IntegerField(allow_null=True)
    duplicate = serializers.BooleanField(help_text="the job was there already, under the same key")
    position = serializers.IntegerField()
    error = ItemErrorSerializer(allow_null=True)


class SubmittedManySerializer(serializers.Serializer[object]):
    results = ItemSerializer(many=True)
    last_asked_at = serializers.DateTimeField(allow_null=True)
    warning = serializers.CharField()


class JobBriefSerializer(serializers.ModelSerializer[Job]):
    id = serializers.IntegerField(read_only=True)
    cluster = serializers.CharField(source="cluster.name", read_only=True)
    submitted_by = serializers.SerializerMethodField()
    state = serializers.ChoiceField(JobState.choices)
    on_lost = serializers.ChoiceField(OnLost.choices)
    labels = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id", "cluster", "name", "command", "nodes", "tasks", "state", "priority", "time_limit_seconds",
            "working_directory", "labels", "on_lost", "idempotency_key", "attempt", "agent", "native_id",
            "exit_code", "reason", "submitted_by", "submitted_at", "accepted_at", "started_at", "finished_at",
            "lost_at", "cancel_requested_at", "lease_expires_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_submitted_by(self, job: Job) -> str:
        return job.submitted_by.label if job.submitted_by else ""


class JobSerializer(JobBriefSerializer):
    environment = serializers.DictField(child=serializers.CharField())

    class Meta(JobBriefSerializer.Meta):
        fields = (*JobBriefSerializer.Meta.fields, "environment", "output")
        read_only_fields = fields


class JobPageSerializer(serializers.Serializer[object]):
    next = serializers.URLField(allow_null=True, help_text="the next page; null on the last")
    results = JobBriefSerializer(many=True)


class EventSerializer(serializers.ModelSerializer[JobEvent]):
    who = serializers.CharField()

    class Meta:
        model = JobEvent
        fields = ("at", "what", "state", "attempt", "who", "why")


class QueuedJobSerializer(serializers.Serializer[object]):
    """A waiting job as its cluster sees it."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    command = serializers.CharField()
    nodes = serializers.IntegerField()
    tasks = serializers.IntegerField()
    priority = serializers.IntegerField()
    time_limit_seconds = serializers.IntegerField()
    environment = serializers.DictField(child=serializers.CharField())
    working_directory = serializers.CharField()
    labels = serializers.DictField(child=serializers.CharField())
    attempt = serializers.IntegerField()


class QueueSerializer(serializers.Serializer[object]):
    jobs = QueuedJobSerializer(many=True)
    paused = serializers.CharField(help_text="why the cluster gets no jobs now; empty when it is not paused")


class AcceptSerializer(serializers.Serializer[object]):
    ids = serializers.ListField(child=Number(min_value=1, max_value=MAX_ID), allow_empty=False, max_length=MAX_ACCEPT)
    agent = Text(max_length=255, allow_blank=True, default="", help_text="without it the jobs are handed over for good")
    lease_seconds = Number(
        min_value=0, max_value=MAX_SECONDS, default=0, help_text="10 to 86,400; 0 means 300; only with an agent"
    )


class AcceptedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    attempt = serializers.IntegerField()
    lease_expires_at = serializers.DateTimeField(allow_null=True)


class RefusedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    reason = serializers.SerializerMethodField()
    detail = serializers.CharField(source="message")

    def get_reason(self, refused: Any) -> str:
        return RefusalReason(refused.reason).name.lower()


class AcceptanceSerializer(serializers.Serializer[object]):
    accepted = AcceptedSerializer(many=True)
    refused = RefusedSerializer(many=True)


class CancelManySerializer(serializers.Serializer[object]):
    ids = serializers.ListField(child=Number(min_value=1, max_value=MAX_ID), allow_empty=False, max_length=MAX_CANCEL)
    reason = Text(max_length=1000, allow_blank=True, default="")


class OutcomeSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    outcome = serializers.SerializerMethodField()
    detail = serializers.CharField(source="outcome.value")

    def get_outcome(self, cancellation: Any) -> str:
        return str(cancellation.outcome.name.lower())


class OutcomesSerializer(serializers.Serializer[object]):
    results = OutcomeSerializer(many=True)


class SummarySerializer(serializers.Serializer[object]):
    """A cluster with its jobs counted by state, and its health in words."""

    name = serializers.CharField()
    registered_at = serializers.DateTimeField()
    last_asked_at = serializers.DateTimeField(allow_null=True)
    paused_at = serializers.DateTimeField(allow_null=True)
    paused_reason = serializers.CharField()
    paused_by = serializers.CharField()
    jobs = serializers.DictField(child=serializers.IntegerField(), help_text="how many in each state")
    oldest_submitted_at = serializers.DateTimeField(
        allow_null=True, help_text="when the oldest of the waiting jobs was submitted"
    )
    warning = serializers.CharField(help_text="what is amiss, in words; empty when nothing is")


class ClusterPageSerializer(serializers.Serializer[object]):
    results = SummarySerializer(many=True)
