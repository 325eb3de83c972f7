"""What is said of a job, as it is submitted and as it is shown."""

from typing import Any

from rest_framework import serializers

from clusters import needs
from clusters.models import MAX_AFTER_SECONDS, MAX_MEMBERS
from jobs.after import AFTER, MAX_AFTER
from jobs.spec_rules import (
    DIGEST,
    FILE,
    GPU_TYPE,
    IMAGE,
    INPUT_URL,
    MAX_CORES_PER_TASK,
    MAX_FILES,
    MAX_GPUS_PER_TASK,
    MAX_IMAGE,
    MAX_INPUT_URL,
    MAX_MEMORY_MIB_PER_NODE,
    MAX_MOUNTS,
    MAX_OPTION,
    MAX_OPTIONS_BY_CLUSTER,
    MAX_RETRIES,
    MAX_RETRY_ON,
    MAX_SECRETS,
    MAX_SIGNATURE,
    MAX_START_WITHIN_SECONDS,
    MOUNT,
    OPTION_AT_CLUSTER,
    RETRY_ON,
    SECRET,
    VARIABLE,
)
from jobs.specs import (
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
)
from jobs.states import OnLost
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
# Not all of it white space. With ^ before the lookahead, Schemathesis would put the greatest length into the pattern as
# {1,65536}, which takes half a gigabyte and seconds to compile, again and again.
_COMMAND = r"(?!\s*$)^[^\x00-\x08\x0b-\x1f\x7f-\x9f]+$"
_PATH = r"^(/[^\x00-\x1f\x7f-\x9f]*)?$"
_NO_NULL = r"^[^\x00]*$"
_VARIABLE = rf"^{VARIABLE}$"
_OPTION = r"^([^-\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*)?$"
_NEED = rf"^(!?{needs.NAME}|{needs.NAME}>=({needs.NUMBER})|{needs.NAME}=[^\x00-\x1f\x7f-\x9f]{{1,{needs.MAX_VALUE}}})$"
_LABEL_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"


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
    secrets = Mapping(
        child=Text(pattern=rf"^{SECRET}$"),
        names=_VARIABLE,
        most=MAX_SECRETS,
        default=dict,
        help_text="secrets of the site, by the variable that the job finds each in: site:NAME",
    )
    inputs = Mapping(
        child=Text(pattern=rf"^{DIGEST}$"),
        names=rf"^{FILE}$",
        most=MAX_FILES,
        default=dict,
        help_text="files that the job finds in its folder: by their names there, the SHA-256 of each, which was put"
        " here before; 4 MiB in all",
    )
    input_urls = Mapping(
        child=Text(pattern=rf"^{INPUT_URL}$", max_length=MAX_INPUT_URL),
        names=rf"^{FILE}$",
        most=MAX_FILES,
        default=dict,
        help_text="larger files, which the site fetches where its policy allows that: by their names in the job's"
        " folder, the URL of each with its SHA-256, as https://HOST/PATH#sha256=HEX",
    )
    outputs = Texts(
        child=Text(pattern=rf"^{FILE}$"),
        max_length=MAX_FILES,
        default=list,
        help_text="which files of its folder the job writes for others to fetch, as patterns such as results/*.csv",
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
    group = Number(
        min_value=0,
        max_value=MAX_INT,
        default=0,
        help_text="the group that it becomes a member of: one of the caller's that takes further members; 0 means none",
    )
    array_index = Number(
        min_value=0,
        max_value=MAX_INT,
        allow_null=True,
        default=None,
        help_text="its own number in its group, which it finds as RAINBOW_ARRAY_INDEX; null means none",
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
    signature = Text(
        max_length=MAX_SIGNATURE,
        allow_blank=True,
        default="",
        help_text="what its owner signed: some clusters run no job without",
    )
    retry_most = Number(
        min_value=0,
        max_value=MAX_RETRIES,
        default=0,
        help_text="how often it is tried again when an attempt ends for one of the causes of retry_on",
    )
    retry_on = Texts(
        child=Text(pattern=rf"^{RETRY_ON}$"),
        max_length=MAX_RETRY_ON,
        default=list,
        help_text="node_failed, preempted, timed_out, out_of_memory, signal, given_up, lost, exit_code, exit_code:N;"
        " empty means node_failed and preempted. With lost the job may run twice",
    )
    after = Texts(
        child=Text(pattern=rf"^{AFTER}$"),
        max_length=MAX_AFTER,
        default=list,
        help_text="the jobs that it waits for: `ok:12` until job 12 has completed, `failed:12` until it has failed,"
        " `any:12` until it has ended; `12` is `ok:12`; `group:3` for a group. Once one has ended"
        " otherwise, the job is cancelled",
    )
    resubmission_of = Number(
        min_value=0,
        max_value=MAX_INT,
        default=0,
        help_text="the job that this one is submitted in place of, which the caller must see; 0 means none",
    )
    hold_if_unservable = Flag(
        default=False, help_text="whether it is kept until a cluster can take it, where none can, and not refused"
    )

    expires_at = Moment(
        allow_null=True,
        default=None,
        help_text="when it fails if it still waits to be accepted, up to 365 days ahead; null means never",
    )

    project = Text(
        max_length=MAX_NAME,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="with a personal token: the project that it counts for; empty means the only one that may use the"
        " cluster",
    )

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        lists = {name: tuple(values[name]) for name in LISTS}
        return {**values, **lists, "on_lost": OnLost(values["on_lost"])}


class KeyedJobSpecSerializer(JobSpecSerializer):
    idempotency_key = Text(max_length=MAX_KEY, pattern=LINE, allow_blank=True, default="")


class ChangesSerializer(JobSpecSerializer):
    """What a job that is submitted again says in place of the old one: only what is said here."""

    command = Text(max_length=MAX_COMMAND_BYTES, pattern=_COMMAND, default="")
    # REST framework leaves out what is None.
    project = None  # type: ignore[assignment]
    signature = None  # type: ignore[assignment]
    resubmission_of = None  # type: ignore[assignment]
    group = None  # type: ignore[assignment]

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        return {name: value for name, value in values.items() if name in data}


class ResubmitSerializer(Input):
    changes = ChangesSerializer(required=False, help_text="fields of a job that the new one has otherwise")
    project = Text(
        max_length=MAX_NAME,
        pattern=LINE,
        allow_blank=True,
        default="",
        help_text="with a personal token: the project that it counts for; empty means that of the old job",
    )


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
    group = serializers.IntegerField(help_text="the group that it is a member of; 0 means none")
    array_index = serializers.IntegerField(allow_null=True, help_text="its own number in its group; null means none")
