"""Who may submit and who may pull."""

from datetime import datetime

from django.db import models
from django.db.models import Q


class CredentialKind(models.TextChoices):
    TOKEN = "token", "token"
    SECRET = "secret", "secret"


class Cluster(models.Model):
    """A place that runs jobs."""

    name = models.CharField(max_length=63, unique=True)
    registered_at = models.DateTimeField()
    last_asked_at = models.DateTimeField(null=True, blank=True)
    # What it then said that it can take: clusters.callers.Bounds.
    last_bounds = models.JSONField(default=dict, blank=True)
    # Why its agent takes no jobs now, in the agent's words; empty when it does.
    not_ready = models.CharField(max_length=1000, default="", blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_reason = models.CharField(max_length=1000, default="", blank=True)
    paused_by = models.CharField(max_length=255, default="", blank=True)

    class Meta:
        # Nobody adds or deletes clusters by hand; to change one is to do what the services do.
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(name="cluster_has_name", condition=~Q(name="")),
            models.CheckConstraint(
                name="paused_cluster_has_reason", condition=Q(paused_at__isnull=True) | ~Q(paused_reason="")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CredentialQuerySet(models.QuerySet["Credential"]):
    def live(self, now: datetime) -> "CredentialQuerySet":
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)


class Credential(models.Model):
    """A token or a secret of a cluster: only the SHA-256 digest of its value, in hexadecimal.

    Rotation gives it another value; former ones may serve beside it for a while. `previous_expires_at` is what the
    last rotation promised to the value that it replaced.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="credentials")
    kind = models.CharField(max_length=6, choices=CredentialKind)
    label = models.CharField(max_length=63)
    digest = models.CharField(max_length=64, unique=True)
    previous_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(name="credential_kind_is_known", condition=Q(kind__in=CredentialKind)),
            models.UniqueConstraint(
                name="one_live_credential_per_label",
                fields=["cluster", "kind", "label"],
                condition=Q(revoked_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.label}"


class FormerValue(models.Model):
    """A value that a credential had before, and until when it still works."""

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="former_values")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.credential} until {self.expires_at}"


class FailedAttempts(models.Model):
    """How often a source (an address, a cluster's name) offered credentials that were refused, in one window."""

    source = models.CharField(max_length=100, unique=True)
    began_at = models.DateTimeField(db_index=True)
    failures = models.IntegerField()

    class Meta:
        verbose_name_plural = "failed attempts"

    def __str__(self) -> str:
        return f"{self.failures} from {self.source}"
