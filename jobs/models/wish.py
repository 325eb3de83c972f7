from django.db import models

from clusters.models import Cluster
from jobs.models.job import Job
from jobs.states import WishKind


class Wish(models.Model):
    """Something that a server wants of an agent before its next report (jobs/services/wishes.py). It lives a minute."""

    kind = models.CharField(max_length=8, choices=WishKind)
    cluster = models.ForeignKey(
        Cluster, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    agent = models.CharField(max_length=255)
    # Null where it is about all jobs of the agent. Jobs are pruned without regard to it.
    job = models.ForeignKey(
        Job, on_delete=models.DO_NOTHING, null=True, related_name="+", db_index=False, db_constraint=False
    )
    attempt = models.IntegerField(default=0)
    # What else there is to say, by kind.
    content = models.JSONField(default=dict)
    made_at = models.DateTimeField()
    # Who asked for it: the actor of the event that is recorded once it is done.
    credential_id = models.BigIntegerField(null=True)
    operator_id = models.BigIntegerField(null=True)
    request_id = models.CharField(max_length=64, null=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["cluster", "agent", "id"], name="wish_by_agent"),
            models.Index(fields=["job"], name="wish_by_job", condition=models.Q(job__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.agent}"
