from django.db import models

from clusters.models import Cluster
from jobs.states import Activity, JobState, Span


class JobCount(models.Model):
    """How many jobs of a cluster are in a state at a priority: the sum over the slots.

    Kept in the transactions that move the jobs, so that a summary costs the same at any number of jobs.
    Writers spread over the slots so that they do not wait for one another's commits.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    state = models.CharField(max_length=9, choices=JobState)
    priority = models.SmallIntegerField()
    slot = models.SmallIntegerField()
    jobs = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_count_per_slot", fields=["cluster", "state", "priority", "slot"])
        ]


class JobActivity(models.Model):
    """How many jobs of a cluster had an event within a stretch of time: the sum over the slots.

    Kept beside the counts, in stretches of every span, so that a chart over a week reads as few rows as one over
    an hour. Slots are those of JobCount.
    """

    span_seconds = models.IntegerField(choices=Span)
    began_at = models.DateTimeField()
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    what = models.CharField(max_length=9, choices=Activity)
    slot = models.SmallIntegerField()
    jobs = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_activity_per_slot", fields=["span_seconds", "began_at", "cluster", "what", "slot"]
            )
        ]
