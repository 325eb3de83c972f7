from typing import Any

from rest_framework import serializers

from clusters.validation import MAX_REASON
from jobs.leases import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS
from jobs.models import MAX_ID, Job, JobEvent
from jobs.reports import MAX_REASON_BYTES, MAX_REPORTS, REPORTABLE, Report
from jobs.services.accept import MAX_IDS as MAX_ACCEPT
from jobs.services.accept import RefusalReason
from jobs.services.cancel import MAX_IDS as MAX_CANCEL
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
from rainbow_site.web.rest.fields import CLUSTER_NAME, LINE, LINES, Choice, Input, Mapping, Number, Numbers, Pairs, Text

MAX_BATCH = 10_000
# Patterns of the schema: what jobs/specs.py takes.
_COMMAND = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
_PATH = r"^(/[^\x00-\x1f\x7f-\x9f]*)?$"
_NO_NULL = r"^[^\x00]*$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_LABEL_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
_LEASE = f"{MIN_SECONDS} to {MAX_SECONDS:,}; 0 means {DEFAULT_SECONDS}"
# In a serializer's context: whether whoever asks may know what a job runs.
WITH_CONTENT = "with_content"
_CONTENT = "null for operators who may not see what jobs run"
_HIDDEN = frozenset({*CONTENT_FIELDS, "output"})


class JobSpecSerializer(Input):
    command = Text(max_length=MAX_COMMAND_BYTES, pattern=_COMMAND, help_text="what to run, up to 64 KiB")
    name = Text(max_length=MAX_NAME, pattern=LINE, allow_blank=True, default="")
    nodes = Number(min_value=1, max_value=MAX_INT, default=1)
    tasks = Number(min_value=0, max_value=MAX_INT, default=0, help_text="0 means not said")
    priority = Number(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY, default=0, help_text="the higher goes first")
    time_limit_seconds = Number(min_value=0, max_value=MAX_TIME_LIMIT_SECONDS, default=0, help_text="0 means not said")
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


class SubmitManySerializer(Input):
    jobs = KeyedJobSpecSerializer(many=True, min_length=1, max_length=MAX_BATCH)  # type: ignore[call-arg]


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
    tasks = serializers.IntegerField(help_text="0 means not said")
    priority = serializers.IntegerField()
    time_limit_seconds = serializers.IntegerField(help_text="0 means not said")
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


class JobPageSerializer(serializers.Serializer[object]):
    next = serializers.URLField(allow_null=True, help_text="the next page; null on the last")
    results = JobBriefSerializer(many=True)


class EventSerializer(serializers.ModelSerializer[JobEvent]):
    attempt = serializers.IntegerField()
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
    environment = Pairs()
    working_directory = serializers.CharField()
    labels = Pairs()
    attempt = serializers.IntegerField()


class QueueSerializer(serializers.Serializer[object]):
    jobs = QueuedJobSerializer(many=True)
    paused = serializers.CharField(help_text="why the cluster gets no jobs now; empty when it is not paused")


class AcceptSerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_ACCEPT)
    agent = Text(
        max_length=255,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="without it the jobs are handed over for good",
    )
    lease_seconds = Number(min_value=0, max_value=MAX_SECONDS, default=0, help_text=f"{_LEASE}; only with an agent")


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


class ReportSerializer(Input):
    """How one attempt at a job goes."""

    id = Number(min_value=1, max_value=MAX_ID)
    attempt = Number(min_value=1, max_value=MAX_INT, help_text="as the acceptance named it")
    state = Choice(
        [(state.value, state.label) for state in JobState if state in REPORTABLE],
        help_text="accepted while it waits in the scheduler, running, or how it ended",
    )
    native_id = Text(
        max_length=255, pattern=LINE, allow_blank=True, default="", help_text="the scheduler's own id of the job"
    )
    exit_code = Number(min_value=-MAX_INT - 1, max_value=MAX_INT, allow_null=True, default=None)
    reason = Text(
        max_length=MAX_REASON_BYTES,
        pattern=LINES,
        allow_blank=True,
        default="",
        help_text="why it waits, or why it ended so, up to 4 KiB",
    )
    output = Text(allow_blank=True, default="", help_text="the end of what it wrote; more than 64 KiB is cut")
    started_at = serializers.DateTimeField(allow_null=True, default=None)
    finished_at = serializers.DateTimeField(allow_null=True, default=None)

    def to_internal_value(self, data: Any) -> Report:
        values = super().to_internal_value(data)
        return Report(job_id=values.pop("id"), **{**values, "state": JobState(values["state"])})


class ReportManySerializer(Input):
    agent = Text(max_length=255, pattern=LINE, help_text="the agent's name")
    reports = ReportSerializer(many=True, max_length=MAX_REPORTS)  # type: ignore[call-arg]
    lease_seconds = Number(min_value=0, max_value=MAX_SECONDS, default=0, help_text=_LEASE)
    not_ready = Text(
        max_length=MAX_REASON, pattern=LINE, allow_blank=True, default="", help_text="why the agent takes no jobs now"
    )
    pause = Text(
        max_length=MAX_REASON,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="pauses the cluster, for this reason",
    )
    hold_after = Number(
        min_value=0,
        max_value=MAX_INT,
        default=0,
        help_text="so many jobs of one token in a row that fail at once hold back the token's others; 0 is never",
    )


class ReportedSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    outcome = serializers.SerializerMethodField()
    detail = serializers.CharField(source="outcome.value")
    cancel = serializers.BooleanField(help_text="stop what runs under this job and attempt")
    lease_expires_at = serializers.DateTimeField(allow_null=True)

    def get_outcome(self, reported: Any) -> str:
        return str(reported.outcome.name.lower())


class ReportedManySerializer(serializers.Serializer[object]):
    results = ReportedSerializer(many=True)


class CancelManySerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_CANCEL)
    reason = Text(max_length=MAX_REASON, pattern=LINE, allow_blank=True, default="")


class PrioritizeSerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_CANCEL)
    priority = Number(min_value=-MAX_PRIORITY, max_value=MAX_PRIORITY)
    reason = Text(max_length=MAX_REASON, pattern=LINE, help_text="why, for others to read")


class MoveSerializer(Input):
    ids = Numbers(lowest=1, highest=MAX_ID, max_length=MAX_CANCEL)
    cluster = Text(pattern=CLUSTER_NAME, help_text="the name of the cluster that shall run them")
    reason = Text(max_length=MAX_REASON, pattern=LINE, help_text="why, for others to read")


class ChangeResultSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    refusal = serializers.CharField(help_text="why nothing changed; empty when it did")


class ChangeResultsSerializer(serializers.Serializer[object]):
    results = ChangeResultSerializer(many=True)


class OutcomeSerializer(serializers.Serializer[object]):
    id = serializers.IntegerField(source="job_id")
    outcome = serializers.SerializerMethodField()
    detail = serializers.CharField(source="outcome.value")

    def get_outcome(self, cancellation: Any) -> str:
        return str(cancellation.outcome.name.lower())


class OutcomesSerializer(serializers.Serializer[object]):
    results = OutcomeSerializer(many=True)


class HeldTokenSerializer(serializers.Serializer[object]):
    """A token whose waiting jobs get no turn, because too many in a row that were submitted with it failed at once."""

    token = serializers.CharField(help_text="its label")
    reason = serializers.CharField(help_text="how many failed, and how the last of them did")
    held_at = serializers.DateTimeField()


class SummarySerializer(serializers.Serializer[object]):
    """A cluster with its jobs counted by state, and its health in words."""

    name = serializers.CharField()
    registered_at = serializers.DateTimeField()
    last_asked_at = serializers.DateTimeField(allow_null=True)
    not_ready = serializers.CharField(help_text="why its agent takes no jobs now; empty when it does")
    paused_at = serializers.DateTimeField(allow_null=True)
    paused_reason = serializers.CharField()
    paused_by = serializers.CharField()
    jobs = serializers.DictField(child=serializers.IntegerField(), help_text="how many in each state")
    oldest_submitted_at = serializers.DateTimeField(
        allow_null=True, help_text="when the oldest of the waiting jobs was submitted"
    )
    held_back = HeldTokenSerializer(many=True, help_text="the tokens whose jobs are held back; for a token only itself")
    warning = serializers.CharField(help_text="what is amiss, in words; empty when nothing is")
