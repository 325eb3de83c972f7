from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from clusters.models import Cluster, Project


class Usage(models.Model):
    """What the jobs used that ended on a day (UTC): the sum over the slots, which are those of JobCount.

    Stays when the jobs are pruned. Jobs that were submitted with a cluster's token have neither owner nor project.
    """

    day = models.DateField()
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    slot = models.SmallIntegerField()
    jobs = models.BigIntegerField()
    node_seconds = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["owner", "day"], name="usage_by_owner", condition=Q(owner__isnull=False)),
            models.Index(fields=["project", "day"], name="usage_by_project", condition=Q(project__isnull=False)),
            # What is still to be joined.
            models.Index(fields=["day"], name="usage_in_slots", condition=~Q(slot=0)),
        ]
        constraints = [
            models.UniqueConstraint(
                F("day"),
                F("cluster"),
                Coalesce(F("project"), Value(0)),
                Coalesce(F("owner"), Value(0)),
                F("slot"),
                name="one_usage_per_slot",
            ),
            models.CheckConstraint(name="usage_is_not_negative", condition=Q(jobs__gte=0, node_seconds__gte=0)),
        ]

    def __str__(self) -> str:
        return f"usage of {self.cluster} on {self.day}"
