from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.models import Cluster
from jobs.states import ActionKind


class BulkAction(models.Model):
    """An action of an operator on all jobs that match a search, done in short steps.

    It walks the ids from `first_id` to `last_id`; `next_id` is where the next step begins.
    """

    kind = models.CharField(max_length=10, choices=ActionKind)
    reason = models.CharField(max_length=1000)
    priority = models.SmallIntegerField(null=True)
    to_cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    # Which jobs: jobs.queries.search.Search.
    search = models.JSONField()
    operator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    begun_at = models.DateTimeField()
    stepped_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    stopped = models.BooleanField(default=False)
    first_id = models.IntegerField()
    next_id = models.IntegerField()
    last_id = models.IntegerField()
    changed = models.IntegerField(default=0)
    # How many could not be changed, by reason.
    refusals = models.JSONField(default=dict)

    class Meta:
        # As earlier releases call it, which may share the database during an upgrade.
        db_table = "jobs_sweep"
        default_permissions = ()
        indexes = [models.Index(fields=["stepped_at"], name="sweep_going", condition=Q(finished_at__isnull=True))]
        constraints = [models.CheckConstraint(name="sweep_has_reason", condition=~Q(reason=""))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} all that match"

    @property
    def over(self) -> bool:
        return self.finished_at is not None

    @property
    def refused(self) -> int:
        return sum(self.refusals.values())

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        if self.over and not self.stopped:
            return 100
        return (self.next_id - self.first_id) * 100 // (self.last_id - self.first_id + 1)
