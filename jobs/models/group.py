from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.models import Cluster, Credential, Project
from jobs.states import JobState


class JobGroup(models.Model):
    """Many jobs that are submitted, watched and cancelled as one: its members, which name it as `Job.group`.

    While it is `open`, further members may be added. It is finished once it is not, and all of them are over.
    """

    id = models.AutoField(primary_key=True)
    # What it was submitted to, and by whom: of its members the same, wherever they are now.
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    submitted_by = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    name = models.CharField(max_length=255, blank=True)
    # As of jobs: jobs.services.orders.stored_key.
    idempotency_key = models.CharField(max_length=255, null=True)
    # How many of its members may be in queues and clusters at a time, and after how many that failed the rest is
    # cancelled; 0 means any number, and never.
    at_once = models.PositiveIntegerField(default=0)
    stop_after_failures = models.PositiveIntegerField(default=0)
    made_at = models.DateTimeField()
    # When members were last added.
    added_at = models.DateTimeField()
    open = models.BooleanField()
    # Since when its members are being cancelled, why, and by whom: a credential, an operator or person, or the server.
    # Those that clusters have are cancelled up to an id; null where they are not, or all were.
    stopped_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=1000, blank=True)
    stopped_by = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    stopped_by_account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    cancelled_to = models.IntegerField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Of one that is finished: completed if all of its members were, failed if some failed, and else cancelled.
    outcome = models.CharField(max_length=9, blank=True, db_default="")

    class Meta:
        default_permissions = ()
        indexes = [
            # Listings, newest first.
            models.Index(fields=["cluster", "id"], name="group_by_cluster"),
            models.Index(fields=["submitted_by", "id"], name="group_by_credential"),
            models.Index(fields=["owner", "id"], name="group_by_owner", condition=Q(owner__isnull=False)),
            models.Index(fields=["project", "id"], name="group_by_project", condition=Q(project__isnull=False)),
            # What there is still something to do for.
            models.Index(fields=["id"], name="group_going", condition=Q(finished_at__isnull=True)),
            *(
                models.Index(fields=[column, "id"], name=f"group_going_{column}", condition=Q(finished_at__isnull=True))
                for column in ("cluster", "submitted_by", "owner", "project")
            ),
            models.Index(fields=["finished_at"], name="group_finished", condition=Q(finished_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "idempotency_key"],
                name="one_group_per_key",
                condition=Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(
                name="open_group_is_not_finished", condition=Q(open=False) | Q(finished_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"group {self.pk}"


class GroupCount(models.Model):
    """How many members of a group are in a state: the sum over the slots, which are those of JobCount."""

    group = models.ForeignKey(JobGroup, on_delete=models.CASCADE, related_name="counts", db_index=False)
    state = models.CharField(max_length=9, choices=JobState)
    slot = models.SmallIntegerField()
    jobs = models.IntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="one_group_count_per_slot", fields=["group", "state", "slot"])]
