from django.db import models
from django.db.models import Q


class Holder(models.TextChoices):
    PERSON = "person", "person"
    PROJECT = "project", "project"


class Allowance(models.Model):
    """What a person or a project has of the queues and clusters, and the most that it may have.

    Kept in the transactions that move its jobs. `held` are the jobs that agents have, lost ones not among them.
    `submitted` are its submissions of late, in millionths, less what has drained until `submitted_at` (microseconds
    since 1970): a leaky bucket. Of the most, None is the default of the settings, and 0 no limit.
    """

    kind = models.CharField(max_length=7, choices=Holder)
    holder_id = models.IntegerField()
    waiting = models.BigIntegerField(db_default=0)
    held = models.BigIntegerField(db_default=0)
    held_nodes = models.BigIntegerField(db_default=0)
    submitted = models.BigIntegerField(db_default=0)
    submitted_at = models.BigIntegerField(db_default=0)
    most_waiting = models.IntegerField(null=True)
    most_held = models.IntegerField(null=True)
    most_held_nodes = models.IntegerField(null=True)
    most_submissions = models.IntegerField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="one_allowance_each", fields=["kind", "holder_id"]),
            models.CheckConstraint(name="holder_is_known", condition=Q(kind__in=Holder)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.holder_id}"
