"""Jobs as they are shown: to their submitters and to clusters."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.models import Job, JobAttempt
from jobs.queries.explain import Explanation
from jobs.queries.found_job import FoundJob
from jobs.queries.prospects import Outlook
from jobs.rest.spec_serializers import AskedSerializer
from jobs.specs import CONTENT_FIELDS, UNLISTED_FIELDS
from jobs.states import EndCause, JobState, OnLost
from rainbow_site.web.rest.fields import Pairs

# In a serializer's context: whether the caller may see what a job runs.
WITH_CONTENT = "with_content"
# And why a single job waits.
WAIT = "wait"
_CONTENT = "null for operators who may not see what jobs run"
HIDDEN = frozenset({*CONTENT_FIELDS, "output", "output_files"})


class SubmitterSerializer(serializers.Serializer[object]):
    """The credential that a job was submitted with."""

    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # (a field, not the serializer's own label)


class JobBriefSerializer(AskedSerializer, serializers.ModelSerializer[Any]):
    id = serializers.IntegerField(read_only=True)
    cluster = serializers.CharField(read_only=True)
    command = serializers.CharField(allow_null=True, help_text=_CONTENT)
    working_directory = serializers.CharField(allow_null=True, help_text=_CONTENT)
    image = serializers.CharField(allow_null=True, help_text=_CONTENT)
    mounts = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text=_CONTENT)
    secrets = Pairs(allow_null=True, help_text=_CONTENT)
    inputs = Pairs(allow_null=True, help_text=_CONTENT)
    input_urls = Pairs(allow_null=True, help_text=_CONTENT)
    outputs = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text=_CONTENT)
    # Said here, since REST framework would take their ranges from the database in use.
    nodes = serializers.IntegerField()
    tasks = serializers.IntegerField(help_text="0 means not set")
    priority = serializers.IntegerField()
    time_limit_seconds = serializers.IntegerField(help_text="0 means not set")
    attempt = serializers.IntegerField()
    exit_code = serializers.IntegerField(allow_null=True)
    end_cause = serializers.ChoiceField(
        EndCause.choices, allow_blank=True, help_text="how it ended; empty where its cluster did not say so"
    )
    submitted_by = SubmitterSerializer(allow_null=True)
    pool = serializers.CharField(help_text="the pool that its cluster took it from; empty where there is none")
    owner = serializers.CharField(help_text="the person whose it is; empty of a job of a cluster's or project's token")
    project = serializers.CharField(help_text="the project that it counts for; empty of a job of a cluster's token")
    state = serializers.ChoiceField(JobState.choices)
    on_lost = serializers.ChoiceField(OnLost.choices)
    clusters = serializers.ListField(child=serializers.CharField())
    idempotency_key = serializers.SerializerMethodField()
    spill_after_seconds = serializers.IntegerField()
    hold_if_unservable = serializers.BooleanField()
    resubmission_of = serializers.IntegerField(help_text="the job that it was submitted in place of; 0 means none")
    retry_most = serializers.IntegerField()
    retry_on = serializers.ListField(child=serializers.CharField())
    after = serializers.ListField(child=serializers.CharField())
    labels = Pairs()

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id", "cluster", "name", "command", "nodes", "tasks", "state", "priority", "time_limit_seconds",
            "working_directory", "labels", *AskedSerializer().fields, "image", "mounts", "secrets", "inputs",
            "input_urls", "outputs",
            "on_lost",
            "clusters", "spill_after_seconds", "hold_if_unservable", "expires_at", "retry_most", "retry_on", "retry_at",
            "after",
            "resubmission_of",
            "idempotency_key", "attempt", "agent", "native_id",
            "pool", "exit_code", "end_cause", "reason", "owner", "project", "submitted_by", "submitted_at",
            "accepted_at", "started_at", "finished_at", "lost_at", "cancel_requested_at", "lease_expires_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_idempotency_key(self, job: FoundJob) -> str | None:
        return job.idempotency_key or None

    def to_representation(self, job: FoundJob) -> dict[str, Any]:
        shown = super().to_representation(job)
        if self.context[WITH_CONTENT]:
            return shown
        return {name: None if name in HIDDEN else value for name, value in shown.items()}


class OutputFileSerializer(serializers.Serializer[Any]):
    """A file that a job left in its folder."""

    name = serializers.CharField(help_text="its path below the folder")
    size = serializers.IntegerField(help_text="in bytes")


class OutputFilesSerializer(serializers.Serializer[Any]):
    """The files that fit a job's outputs, as its agent listed them once it had ended."""

    files = OutputFileSerializer(many=True)
    more = serializers.BooleanField(help_text="whether there may be others")


class ProspectSerializer(serializers.Serializer[Any]):
    """Whether a cluster would take a waiting job, and if not, why."""

    cluster = serializers.CharField()
    outlook = serializers.ChoiceField([outlook.value for outlook in Outlook])
    text = serializers.CharField(help_text="the reasons; its subject is the cluster")


class AttemptSerializer(serializers.ModelSerializer[Any]):
    """An earlier attempt at a job."""

    attempt = serializers.IntegerField()
    cluster = serializers.CharField()
    end_cause = serializers.ChoiceField(EndCause.choices, allow_blank=True)
    exit_code = serializers.IntegerField(allow_null=True)

    class Meta:
        model = JobAttempt
        fields = (
            "attempt", "cluster", "native_id", "accepted_at", "started_at", "ended_at", "end_cause", "exit_code",
            "reason",
        )  # fmt: skip
        read_only_fields = fields


_OF_DETAIL = ("attempts", "resubmissions", "why_waiting", "prospects")


class JobSerializer(JobBriefSerializer):
    environment = Pairs(allow_null=True, help_text=_CONTENT)
    output = serializers.CharField(allow_null=True, help_text=f"the end of what it wrote; {_CONTENT}")
    output_files = OutputFilesSerializer(
        allow_null=True,
        help_text=f"files that fit its outputs; null where its agent did not list them, and {_CONTENT}",
    )
    attempts = AttemptSerializer(many=True, help_text="its earlier attempts, oldest first, of the last 100")
    resubmissions = serializers.ListField(
        child=serializers.IntegerField(),
        help_text="the jobs that were submitted in place of it, newest first, up to 100",
    )
    why_waiting = serializers.SerializerMethodField(help_text="why it waits; empty if it does not")
    prospects = serializers.SerializerMethodField(help_text="the clusters in its reach; empty if it does not wait")

    class Meta(JobBriefSerializer.Meta):
        fields = (*JobBriefSerializer.Meta.fields, *UNLISTED_FIELDS, "output", "output_files", *_OF_DETAIL)
        read_only_fields = fields

    def get_why_waiting(self, _job: FoundJob) -> str:
        wait = self._wait
        return wait.summary if wait else ""

    @extend_schema_field(ProspectSerializer(many=True))
    def get_prospects(self, _job: FoundJob) -> list[dict[str, Any]]:
        wait = self._wait
        return list(ProspectSerializer(wait.prospects, many=True).data) if wait else []

    @property
    def _wait(self) -> Explanation | None:
        wait: Explanation | None = self.context.get(WAIT)
        return wait


class WaitingSerializer(serializers.Serializer[Any]):
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


class QueuedJobSerializer(WaitingSerializer, AskedSerializer):
    """A waiting job as its cluster sees it."""

    image = serializers.CharField()
    mounts = serializers.ListField(child=serializers.CharField())
    secrets = Pairs()
    inputs = Pairs()
    input_urls = Pairs()
    outputs = serializers.ListField(child=serializers.CharField())
    attempt = serializers.IntegerField()
    pool = serializers.CharField(
        help_text="the pool that it waits in, of whose jobs only sizes, needs and name are shown; empty for a job that"
        " was submitted to the cluster"
    )
