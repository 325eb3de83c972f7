from django.db import models
from django.db.models import Q


class LeaseWatch(models.Model):
    """One row: when a server last expired leases, and since when it holds their expiry back.

    `hold_began_at` is when it first did so of late (jobs/services/mass_silence.py).
    """

    looked_at = models.DateTimeField()
    held_back_since = models.DateTimeField(null=True)
    hold_began_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(name="one_lease_watch", condition=Q(id=1))]
