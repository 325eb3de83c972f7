from django.db import models
from django.db.models import Q


class RetentionLease(models.Model):
    """One row: which server prunes now and until when it may, and when one was last done."""

    holder = models.CharField(max_length=36, default="", blank=True)
    held_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(name="one_retention_lease", condition=Q(id=1))]
