from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from clusters import needs
from clusters.models import MAX_AFTER_SECONDS, MAX_MEMBERS
from jobs.models import Job
from jobs.queries.explain import Explanation
from jobs.queries.found_job import FoundJob
from jobs.queries.prospects import Outlook
from jobs.spec_rules import (
    GPU_TYPE,
    IMAGE,
    MAX_CORES_PER_TASK,
    MAX_GPUS_PER_TASK,
    MAX_IMAGE,
    MAX_MEMORY_MIB_PER_NODE,
    MAX_MOUNTS,
    MAX_OPTION,
    MAX_OPTIONS_BY_CLUSTER,
    MAX_START_WITHIN_SECONDS,
    MOUNT,
    OPTION_AT_CLUSTER,
)
from jobs.specs import (
    CONTENT_FIELDS,
    LISTS,
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
from rainbow_site.web.rest.fields import (
    CLUSTER_NAME,
    LINE,
    Choice,
    Flag,
    Input,
    Mapping,
    Moment,
    Number,
    Pairs,
    Text,
    Texts,
)

# Patterns of the schema: what jobs/specs.py takes.
_COMMAND = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
_PATH = r"^(/[^\x00-\x1f\x7f-\x9f]*)?$"
_NO_NULL = r"^[^\x00]*$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_OPTION = r"^([^-\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*)?$"
_NEED = rf"^(!?{needs.NAME}|{needs.NAME}>=({needs.NUMBER})|{needs.NAME}=[^\x00-\x1f\x7f-\x9f]{{1,{needs.MAX_VALUE}}})$"
_LABEL_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
# In a serializer's context: whether the caller may see what a job runs.
WITH_CONTENT = "with_content"
# And why a single job waits.
WAIT = "wait"
_CONTENT = "null for operators who may not see what jobs run"
_HIDDEN = frozenset({*CONTENT_FIELDS, "output"})


def _option(help_text: str = "") -> Text:
    return Text(max_length=MAX_OPTION, pattern=_OPTION, allow_blank=True, default="", help_text=help_text)


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
    cores_per_task = Number(min_value=0, max_value=MAX_CORES_PER_TASK, default=0, help_text="0 means not set")
    gpus_per_task = Number(min_value=0, max_value=MAX_GPUS_PER_TASK, default=0, help_text="0 means not set")
    gpu_type = Text(
        pattern=rf"^({GPU_TYPE})?$", allow_blank=True, default="", help_text="such as a100; only with gpus_per_task"
    )
    memory_mib_per_node = Number(min_value=0, max_value=MAX_MEMORY_MIB_PER_NODE, default=0, help_text="0 means not set")
    exclusive = Flag(default=False, help_text="whether the job has its nodes to itself")
    account = _option("whose budget pays, as the cluster's scheduler calls it")
    partition = _option()
    qos = _option()
    reservation = _option()
    constraint = _option("features of nodes, as the cluster's scheduler writes them")
    options_by_cluster = Mapping(
        child=_option(),
        names=rf"^{OPTION_AT_CLUSTER}$",
        most=MAX_OPTIONS_BY_CLUSTER,
        default=dict,
        help_text="what holds in place of these five at a cluster, as `keebler:partition`",
    )
    image = Text(
        max_length=MAX_IMAGE,
        pattern=rf"^({IMAGE})?$",
        allow_blank=True,
        default="",
        help_text="the container: an OCI reference, or the absolute path of a SIF file",
    )
    mounts = Texts(
        child=Text(pattern=rf"^{MOUNT}$"),
        max_length=MAX_MOUNTS,
        default=list,
        help_text="what of the cluster's files the container has: SOURCE:TARGET or SOURCE:TARGET:ro",
    )
    needs = Texts(
        child=Text(pattern=_NEED),
        max_length=needs.MAX_NEEDS,
        default=list,
        help_text="what the cluster must have: NAME, !NAME, NAME=VALUE or NAME>=NUMBER",
    )
    start_within_seconds = Number(
        min_value=0,
        max_value=MAX_START_WITHIN_SECONDS,
        default=0,
        help_text="how long it may wait in a cluster's scheduler, from 60; then it goes to another cluster of its pool"
        " first. 0 means as long as it takes",
    )
    on_lost = Choice(OnLost.choices, default=OnLost.KEEP)
    clusters = Texts(
        child=Text(pattern=CLUSTER_NAME),
        max_length=MAX_MEMBERS,
        default=list,
        help_text="those clusters of the pool that it may go to, the best first; empty means all, in the pool's way",
    )
    spill_after_seconds = Number(
        min_value=0,
        max_value=MAX_AFTER_SECONDS,
        default=0,
        help_text="how long each of them waits for those before it; only with clusters",
    )
    hold_if_unservable = Flag(
        default=False, help_text="whether it is kept until a cluster can take it, where none can, and not refused"
    )

    expires_at = Moment(
        allow_null=True,
        default=None,
        help_text="when it fails if it still waits to be accepted, up to 365 days ahead; null means never",
    )

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        lists = {name: tuple(values[name]) for name in LISTS}
        return {**values, **lists, "on_lost": OnLost(values["on_lost"])}


class KeyedJobSpecSerializer(JobSpecSerializer):
    idempotency_key = Text(max_length=MAX_KEY, pattern=LINE, allow_blank=True, default="")


class SubmitterSerializer(serializers.Serializer[object]):
    """The credential that a job was submitted with."""

    id = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment]  # (a field, not the serializer's own label)


class AskedSerializer(serializers.Serializer[Any]):
    """What a job asks of its cluster beside nodes, tasks and time."""

    cores_per_task = serializers.IntegerField(help_text="0 means not set")
    gpus_per_task = serializers.IntegerField(help_text="0 means not set")
    gpu_type = serializers.CharField()
    memory_mib_per_node = serializers.IntegerField(help_text="0 means not set")
    exclusive = serializers.BooleanField()
    account = serializers.CharField()
    partition = serializers.CharField()
    qos = serializers.CharField()
    reservation = serializers.CharField()
    constraint = serializers.CharField()
    options_by_cluster = Pairs()
    needs = serializers.ListField(child=serializers.CharField())
    start_within_seconds = serializers.IntegerField(help_text="0 means as long as it takes")


class JobBriefSerializer(AskedSerializer, serializers.ModelSerializer[Any]):
    id = serializers.IntegerField(read_only=True)
    cluster = serializers.CharField(read_only=True)
    command = serializers.CharField(allow_null=True, help_text=_CONTENT)
    working_directory = serializers.CharField(allow_null=True, help_text=_CONTENT)
    image = serializers.CharField(allow_null=True, help_text=_CONTENT)
    mounts = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text=_CONTENT)
    # Said here, since REST framework would take their ranges from the database in use.
    nodes = serializers.IntegerField()
    tasks = serializers.IntegerField(help_text="0 means not set")
    priority = serializers.IntegerField()
    time_limit_seconds = serializers.IntegerField(help_text="0 means not set")
    attempt = serializers.IntegerField()
    exit_code = serializers.IntegerField(allow_null=True)
    submitted_by = SubmitterSerializer(allow_null=True)
    pool = serializers.CharField(help_text="the pool that its cluster took it from; empty where there is none")
    state = serializers.ChoiceField(JobState.choices)
    on_lost = serializers.ChoiceField(OnLost.choices)
    clusters = serializers.ListField(child=serializers.CharField())
    idempotency_key = serializers.SerializerMethodField()
    spill_after_seconds = serializers.IntegerField()
    hold_if_unservable = serializers.BooleanField()
    labels = Pairs()

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id", "cluster", "name", "command", "nodes", "tasks", "state", "priority", "time_limit_seconds",
            "working_directory", "labels", *AskedSerializer().fields, "image", "mounts", "on_lost",
            "clusters", "spill_after_seconds", "hold_if_unservable", "expires_at",
            "idempotency_key", "attempt", "agent", "native_id",
            "pool", "exit_code", "reason", "submitted_by", "submitted_at", "accepted_at", "started_at", "finished_at",
            "lost_at", "cancel_requested_at", "lease_expires_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_idempotency_key(self, job: FoundJob) -> str | None:
        return job.idempotency_key or None

    def to_representation(self, job: FoundJob) -> dict[str, Any]:
        shown = super().to_representation(job)
        if self.context[WITH_CONTENT]:
            return shown
        return {name: None if name in _HIDDEN else value for name, value in shown.items()}


class ProspectSerializer(serializers.Serializer[Any]):
    """Whether a cluster would take a waiting job, and if not, why."""

    cluster = serializers.CharField()
    outlook = serializers.ChoiceField([outlook.value for outlook in Outlook])
    text = serializers.CharField(help_text="the reasons; its subject is the cluster")


class JobSerializer(JobBriefSerializer):
    environment = Pairs(allow_null=True, help_text=_CONTENT)
    output = serializers.CharField(allow_null=True, help_text=f"the end of what it wrote; {_CONTENT}")
    why_waiting = serializers.SerializerMethodField(help_text="why it waits; empty if it does not")
    prospects = serializers.SerializerMethodField(help_text="the clusters in its reach; empty if it does not wait")

    class Meta(JobBriefSerializer.Meta):
        fields = (*JobBriefSerializer.Meta.fields, *UNLISTED_FIELDS, "output", "why_waiting", "prospects")
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
    attempt = serializers.IntegerField()
    pool = serializers.CharField(
        help_text="the pool that it waits in, of whose jobs only sizes, needs and name are shown; empty for a job that"
        " was submitted to the cluster"
    )
