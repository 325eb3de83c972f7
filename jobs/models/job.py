"""Jobs, their events and labels."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from clusters.callers import Caller
from clusters.models import Cluster, Credential, Project
from jobs.models.queue import Queue, Serves
from jobs.sight import owned_by, seen_by
from jobs.sql.statements import of_many
from jobs.states import FINAL, EndCause, JobState, OnLost, What

# Ids travel as int32.
MAX_ID = 2**31 - 1


def cores_of(*, nodes: int, tasks: int, cores_per_task: int) -> int:
    """The cores of a job in all: one for each task, and one task for each node, unless it says more."""
    return max(nodes, tasks) * max(1, cores_per_task)


def said_key(stored: str) -> str:
    """An idempotency key as its submitter said it."""
    return stored.rpartition("\n")[2]


class _OfMany(Exact):
    """Equality with a value that many rows have."""

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, Sequence[Any]]:
        condition, values = super().as_sql(compiler, connection)
        return of_many(condition), values


class JobQuerySet(models.QuerySet["Job"]):
    def in_state(self, state: JobState) -> "JobQuerySet":
        """By what else is asked for, in an index of the jobs of this state alone: not by that of all states."""
        return self.filter(_OfMany(F("state"), Value(state.value)))

    def visible_to(self, caller: Caller) -> "JobQuerySet":
        return self.filter(seen_by(caller).within)

    def owned_by(self, caller: Caller) -> "JobQuerySet":
        return self.filter(owned_by(caller).within)

    def in_reach_of(self, cluster_id: int) -> "JobQuerySet":
        """The jobs of a cluster, and those of the queues that it serves."""
        served = Serves.objects.filter(cluster_id=cluster_id).values("queue_id")
        return self.filter(Q(cluster_id=cluster_id) | Q(queue_id__in=served))

    def under_keys(self, cluster_id: int, keys: Iterable[str]) -> "JobQuerySet":
        """The jobs that were submitted to a cluster under these idempotency keys."""
        submitted = self.alias(_submitted_to=Coalesce("submitted_to_id", "cluster_id"))
        return submitted.filter(_submitted_to=cluster_id, idempotency_key__in=list(keys))


class Job(models.Model):
    id = models.AutoField(primary_key=True)
    # The cluster or pool in whose queue it waits; from the accept on the cluster that took it.
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    # Where it was submitted, if it was moved since: its idempotency key stays unique there.
    submitted_to = models.ForeignKey(Cluster, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    # The pool that its cluster took it from; a requeue puts it back there.
    taken_from = models.ForeignKey(Cluster, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    # The clusters that gave it back, by id, and why (jobs.reports.Return).
    given_back = models.JSONField(default=dict, blank=True, db_default={})
    # Where it waits or last waited; that queue may be gone since. Null while it is blocked, and until a server has
    # placed a job that a server of an earlier release put into its cluster's queue.
    queue = models.ForeignKey(
        Queue, on_delete=models.DO_NOTHING, null=True, related_name="+", db_index=False, db_constraint=False
    )
    submitted_by = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    # Whose it is, and the project that it counts for; None of jobs that were submitted with a cluster's token.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    name = models.CharField(max_length=255, blank=True)
    command = models.TextField()
    nodes = models.IntegerField()
    tasks = models.IntegerField()
    priority = models.SmallIntegerField()
    # Less goes first among waiting jobs of one priority (jobs.services.turns); 0 where jobs go by age.
    turn = models.BigIntegerField(db_default=0)
    time_limit_seconds = models.IntegerField()
    environment = models.JSONField(default=dict, blank=True)
    working_directory = models.TextField(blank=True)
    labels = models.JSONField(default=dict, blank=True)
    cores_per_task = models.PositiveIntegerField(db_default=0)
    gpus_per_task = models.PositiveIntegerField(db_default=0)
    gpu_type = models.CharField(max_length=63, blank=True, db_default="")
    memory_mib_per_node = models.PositiveIntegerField(db_default=0)
    exclusive = models.BooleanField(db_default=False)
    account = models.CharField(max_length=255, blank=True, db_default="")
    partition = models.CharField(max_length=255, blank=True, db_default="")
    qos = models.CharField(max_length=255, blank=True, db_default="")
    reservation = models.CharField(max_length=255, blank=True, db_default="")
    constraint = models.CharField(max_length=255, blank=True, db_default="")
    options_by_cluster = models.JSONField(blank=True, db_default={})
    image = models.CharField(max_length=1024, blank=True, db_default="")
    mounts = models.JSONField(blank=True, db_default=[])
    secrets = models.JSONField(blank=True, db_default={})
    inputs = models.JSONField(blank=True, db_default={})
    input_urls = models.JSONField(blank=True, db_default={})
    outputs = models.JSONField(blank=True, db_default=[])
    needs = models.JSONField(blank=True, db_default=[])
    clusters = models.JSONField(blank=True, db_default=[])
    spill_after_seconds = models.PositiveIntegerField(db_default=0)
    hold_if_unservable = models.BooleanField(db_default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    start_within_seconds = models.PositiveIntegerField(db_default=0)
    # The group that it is a member of, by id (jobs.models.JobGroup); 0 for none. And its own number in it.
    group = models.IntegerField(db_default=0)
    array_index = models.IntegerField(null=True, blank=True)
    on_lost = models.CharField(max_length=7, choices=OnLost)
    after = models.JSONField(blank=True, db_default=[])
    signature = models.CharField(max_length=2048, blank=True, db_default="")
    retry_most = models.PositiveSmallIntegerField(db_default=0)
    retry_on = models.JSONField(blank=True, db_default=[])
    # The job that it was submitted in place of, which may be pruned since; 0 is none.
    resubmission_of = models.PositiveIntegerField(db_default=0)
    # Of a person's or a project's job: these, a newline, and the key (jobs.services.orders.Order).
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)
    # SHA-256 of what was submitted under the key, so that a retry is told from another job.
    fingerprint = models.BinaryField(max_length=32, null=True)
    # The span of the call that submitted it (rainbow/telemetry/traces.py); null unless traces were on.
    traceparent = models.CharField(max_length=55, null=True)

    state = models.CharField(max_length=9, choices=JobState)
    # What a blocked job waits for: so many dependencies, and its turn in its group.
    unmet = models.PositiveIntegerField(db_default=0)
    held_by_group = models.BooleanField(db_default=False)
    attempt = models.IntegerField(db_default=1)
    agent = models.CharField(max_length=255, blank=True, db_default="")
    native_id = models.CharField(max_length=255, blank=True, db_default="")
    exit_code = models.IntegerField(null=True, blank=True)
    # How it ended (jobs.states.EndCause), where its cluster said so.
    end_cause = models.CharField(max_length=17, choices=EndCause, blank=True, db_default="")
    reason = models.TextField(blank=True, db_default="")
    output = models.TextField(blank=True, db_default="")
    # Those of its files that fit its outputs (jobs.output_files); null where its agent did not say.
    output_files = models.JSONField(null=True, blank=True)

    submitted_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    lease_seconds = models.IntegerField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # How often it was tried again, and until when it is blocked before it is.
    retries = models.PositiveSmallIntegerField(db_default=0)
    retry_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        # Jobs are not added or deleted by hand; to change one is to call a service.
        default_permissions = ("view", "change")
        permissions = [("see_content_of_job", "Can see what jobs run: command, environment, output")]
        indexes = [
            # The waiting queue, in exactly the order of a request.
            models.Index(
                fields=["queue", "-priority", "turn", "id"], name="job_by_turn", condition=Q(state=JobState.QUEUED)
            ),
            # Listings, newest first: a page is a merge of a few ranges of these.
            models.Index(fields=["cluster", "state", "id"], name="job_by_cluster"),
            models.Index(fields=["submitted_by", "state", "id"], name="job_by_credential"),
            models.Index(fields=["owner", "state", "id"], name="job_by_owner", condition=Q(owner__isnull=False)),
            models.Index(fields=["project", "state", "id"], name="job_by_project", condition=Q(project__isnull=False)),
            models.Index(fields=["state", "id"], name="job_by_state"),
            models.Index(fields=["group", "state", "id"], name="job_by_group", condition=Q(group__gt=0)),
            # Members of a group that are blocked: those that are held, and free of all else, in the order of their ids.
            models.Index(
                fields=["group", "held_by_group", "unmet", "id"],
                name="job_held",
                condition=Q(group__gt=0, state=JobState.BLOCKED),
            ),
            # From a time to the ids of about that time.
            models.Index(fields=["submitted_at"], name="job_by_time"),
            models.Index(fields=["lease_expires_at"], name="job_lease", condition=Q(lease_expires_at__isnull=False)),
            models.Index(
                fields=["expires_at"],
                name="job_expires",
                condition=Q(state=JobState.QUEUED, expires_at__isnull=False),
            ),
            models.Index(fields=["resubmission_of", "id"], name="job_resubmission", condition=Q(resubmission_of__gt=0)),
            models.Index(
                fields=["retry_at"],
                name="job_retry",
                condition=Q(state=JobState.BLOCKED, retry_at__isnull=False),
            ),
            models.Index(
                fields=["expires_at"],
                name="job_blocked_expires",
                condition=Q(state=JobState.BLOCKED, expires_at__isnull=False),
            ),
            # What is pruned, oldest first: jobs that ended, and those that were handed over for good.
            models.Index(fields=["finished_at"], name="job_finished", condition=Q(finished_at__isnull=False)),
            models.Index(
                fields=["accepted_at"], name="job_handed_over", condition=Q(state=JobState.ACCEPTED, agent="")
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                Coalesce("submitted_to", "cluster"),
                F("idempotency_key"),
                name="one_job_per_key",
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(name="job_id_fits_the_wire", condition=Q(id__range=(1, MAX_ID))),
            models.CheckConstraint(name="job_state_is_known", condition=Q(state__in=JobState.values)),
            models.CheckConstraint(
                name="blocked_by_something",
                condition=~Q(state=JobState.BLOCKED) | Q(unmet__gt=0) | Q(held_by_group=True),
            ),
            models.CheckConstraint(name="job_has_command", condition=~Q(command="")),
            models.CheckConstraint(
                name="job_size_is_possible",
                condition=Q(nodes__gte=1, tasks__gte=0, time_limit_seconds__gte=0, attempt__gte=1),
            ),
            models.CheckConstraint(
                name="key_has_fingerprint",
                condition=Q(idempotency_key__isnull=True) | Q(fingerprint__isnull=False),
            ),
            models.CheckConstraint(
                name="final_job_has_finished_at",
                condition=Q(state__in=FINAL, finished_at__isnull=False)
                | (~Q(state__in=FINAL) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="job_in_hand_has_accepted_at",
                condition=~Q(state__in=[JobState.ACCEPTED, JobState.RUNNING, JobState.LOST])
                | Q(accepted_at__isnull=False),
            ),
            models.CheckConstraint(
                name="lease_has_length",
                condition=Q(lease_expires_at__isnull=True) | Q(lease_seconds__isnull=False),
            ),
            models.CheckConstraint(
                name="only_an_agent_holds_a_lease",
                condition=Q(lease_expires_at__isnull=True)
                | (Q(state__in=[JobState.ACCEPTED, JobState.RUNNING]) & ~Q(agent="")),
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}"

    @property
    def place(self) -> tuple[int, int, int]:
        """Where it stands among those that wait."""
        return self.priority, self.turn, self.id

    @property
    def cores(self) -> int:
        """In all."""
        return cores_of(nodes=self.nodes, tasks=self.tasks, cores_per_task=self.cores_per_task)

    @property
    def key(self) -> str | None:
        """The idempotency key that its submitter said."""
        return said_key(self.idempotency_key) if self.idempotency_key else None

    @property
    def final(self) -> bool:
        return self.state in FINAL


class JobLabel(models.Model):
    """An index over `Job.labels`, written once with the job."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="label_rows", db_index=False)
    key = models.CharField(max_length=63)
    value = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(name="one_value_per_label", fields=["job", "key"])]
        indexes = [models.Index(fields=["key", "value", "job"], name="job_by_label")]


class JobAttempt(models.Model):
    """An earlier attempt at a job: written when the job is put back, so that most jobs have none."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    attempt = models.IntegerField()
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    native_id = models.CharField(max_length=255, blank=True)
    accepted_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField()
    end_cause = models.CharField(max_length=17, choices=EndCause, blank=True)
    exit_code = models.IntegerField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="one_record_per_attempt", fields=["job", "attempt"])]

    def __str__(self) -> str:
        return f"attempt {self.attempt} at job {self.job_id}"


class JobEvent(models.Model):
    """Append-only. Replaying a job's events gives its state."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    what = models.CharField(max_length=16, choices=What)
    state = models.CharField(max_length=9, choices=JobState)
    attempt = models.IntegerField()
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    why = models.TextField(blank=True)
    # Of the call that did it (rainbow/telemetry/request_ids.py); null of what the server did itself.
    request_id = models.CharField(max_length=64, null=True)

    class Meta:
        indexes = [models.Index(fields=["job", "id"], name="event_by_job")]
        constraints = [
            models.CheckConstraint(name="event_state_is_known", condition=Q(state__in=JobState.values)),
            models.CheckConstraint(
                name="one_actor_per_event",
                condition=Q(credential__isnull=True) | Q(operator__isnull=True),
            ),
        ]

    @property
    def who(self) -> str:
        if self.credential:
            return str(self.credential)
        return self.operator.get_username() if self.operator else "the server"

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M:%S}"
