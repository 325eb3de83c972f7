"""Clusters and pools."""

from django.db import models
from django.db.models import F, Q

MAX_MEMBERS = 100
MAX_AFTER_SECONDS = 86_400


class Cluster(models.Model):
    """A cluster, or a pool: a set of clusters under one name, whose waiting jobs any of its members may take.

    A pool has tokens but no secret: it has no agent and never asks.
    """

    name = models.CharField(max_length=63, unique=True)
    pool = models.BooleanField(default=False, db_default=False)
    # Whether those who submit to it take turns (jobs.services.turns); None if they never did, so that jobs go by age.
    fair_turns = models.BooleanField(null=True)
    registered_at = models.DateTimeField()
    last_asked_at = models.DateTimeField(null=True, blank=True)
    # clusters.bounds.Bounds of that request.
    last_bounds = models.JSONField(default=dict, blank=True)
    # clusters.facts.Facts, as its agent told them last. They may be long: what reads many clusters defers them.
    facts = models.JSONField(default=dict, db_default={}, blank=True)
    facts_at = models.DateTimeField(null=True, blank=True)
    # Why its agent takes no jobs now, in the agent's words; empty when it does.
    not_ready = models.CharField(max_length=1000, default="", blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_reason = models.CharField(max_length=1000, default="", blank=True)
    paused_by = models.CharField(max_length=255, default="", blank=True)

    class Meta:
        # Clusters are not added or deleted by hand; `change` permits the services' actions.
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(name="cluster_has_name", condition=~Q(name="")),
            models.CheckConstraint(
                name="paused_cluster_has_reason", condition=Q(paused_at__isnull=True) | ~Q(paused_reason="")
            ),
            models.CheckConstraint(
                name="pool_never_asks", condition=Q(pool=False) | Q(last_asked_at__isnull=True, not_ready="")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PoolMember(models.Model):
    """A cluster of a pool, which may take a job of it once the job has waited for `after_seconds`.

    `place` is its position in the pool's order, from 0. No member is a pool itself: jobs/services/pools.py.
    """

    pool = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="members", db_index=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="memberships")
    place = models.SmallIntegerField()
    after_seconds = models.IntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="member_once_per_pool", fields=["pool", "cluster"]),
            models.UniqueConstraint(name="one_member_per_place", fields=["pool", "place"]),
            models.CheckConstraint(name="pool_is_no_member_of_itself", condition=~Q(pool=F("cluster"))),
            models.CheckConstraint(name="member_has_place", condition=Q(place__range=(0, MAX_MEMBERS - 1))),
            models.CheckConstraint(
                name="member_delay_is_possible", condition=Q(after_seconds__range=(0, MAX_AFTER_SECONDS))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster} in {self.pool}"
