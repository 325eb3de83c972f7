"""The record of what happened to clusters and their credentials."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.models.cluster import Cluster
from clusters.models.credential import Credential


class ClusterWhat(models.TextChoices):
    REGISTERED = "registered", "registered"
    PAUSED = "paused", "paused"
    RESUMED = "resumed", "resumed"
    POOL_MADE = "pool_made", "made a pool"
    POOL_CHANGED = "pool_changed", "changed its members"
    FACTS_CHANGED = "facts_changed", "told other facts"
    TURNS_BEGUN = "turns_begun", "lets submitters take turns"
    TURNS_ENDED = "turns_ended", "lets jobs go by age"
    CREDENTIAL_MADE = "credential_made", "made"
    CREDENTIAL_ROTATED = "credential_rotated", "rotated"
    CREDENTIAL_REVOKED = "credential_revoked", "revoked"
    TOKEN_HELD = "token_held", "held back"
    TOKEN_RESUMED = "token_resumed", "let go on"


# From then on a cluster, or the members of a pool, may take jobs that they could not before.
CHANGES_WHAT_IT_TAKES = (ClusterWhat.POOL_MADE, ClusterWhat.POOL_CHANGED, ClusterWhat.FACTS_CHANGED)

ABOUT_CREDENTIALS = (
    ClusterWhat.CREDENTIAL_MADE,
    ClusterWhat.CREDENTIAL_ROTATED,
    ClusterWhat.CREDENTIAL_REVOKED,
    ClusterWhat.TOKEN_HELD,
    ClusterWhat.TOKEN_RESUMED,
)


class ClusterEvent(models.Model):
    """A change to a cluster or to one of its credentials (`about`). Append-only.

    `issued_by` is the operator who knew the value of the credential that was used, at that time.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    what = models.CharField(max_length=18, choices=ClusterWhat)
    about = models.ForeignKey(Credential, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    operator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    why = models.CharField(max_length=1000, blank=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["cluster", "id"], name="event_by_cluster")]
        constraints = [
            models.CheckConstraint(name="cluster_event_is_known", condition=Q(what__in=ClusterWhat.values)),
            models.CheckConstraint(
                name="one_actor_per_cluster_event",
                condition=Q(credential__isnull=True) | Q(operator__isnull=True),
            ),
            models.CheckConstraint(
                name="credential_event_is_about_one",
                condition=Q(what__in=ABOUT_CREDENTIALS, about__isnull=False)
                | (~Q(what__in=ABOUT_CREDENTIALS) & Q(about__isnull=True)),
            ),
        ]

    @property
    def who(self) -> str:
        if self.operator:
            return self.operator.get_username()
        if self.credential:
            return str(self.credential)
        return "the cluster" if self.what == ClusterWhat.REGISTERED else "the server"

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M:%S}"
