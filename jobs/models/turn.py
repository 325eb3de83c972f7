from django.db import models

from clusters.models import Cluster


class Turn(models.Model):
    """How far a party has got in taking turns at one priority of a cluster or pool.

    `party` is a person, a project or a token (jobs.services.turns), or one of the queues: that has got to the highest
    turn of its jobs that were accepted.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    priority = models.SmallIntegerField()
    party = models.CharField(max_length=32)
    turn = models.BigIntegerField()
    # By how much the last submission raised it.
    raised_by = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="one_turn_per_party", fields=["cluster", "priority", "party"])]

    def __str__(self) -> str:
        return f"{self.party} in {self.cluster}"
