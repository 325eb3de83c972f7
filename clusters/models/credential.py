"""Credentials, and the jobs of a token that failed one after the other."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.models.cluster import Cluster
from clusters.models.project import Project


class CredentialKind(models.TextChoices):
    """A token and a secret are of a cluster; a personal token is of a person, a project token of a project."""

    TOKEN = "token", "token"
    SECRET = "secret", "secret"
    PERSONAL = "personal", "personal token"
    PROJECT = "project", "project token"


# Of the kinds that belong to a cluster or pool.
OF_CLUSTERS = (CredentialKind.TOKEN, CredentialKind.SECRET)


class CredentialQuerySet(models.QuerySet["Credential"]):
    def live(self, now: datetime) -> "CredentialQuerySet":
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)

    def ended(self, now: datetime) -> "CredentialQuerySet":
        """The others."""
        return self.filter(Q(revoked_at__isnull=False) | Q(expires_at__lte=now))


class Credential(models.Model):
    """A credential of a cluster, a person or a project. `digest` is the SHA-256 of its value, in hexadecimal.

    A personal token may be narrowed to one `project` of its person, either kind to some clusters (`Scope`), and both to
    reading. What it reaches is looked up when it is used.

    Rotation replaces the value; former values may work for a while. `previous_expires_at` is the end of the value that
    the last rotation replaced. `issued_by` is the operator who was shown the value, or who issued the credential that
    created it.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True, related_name="credentials")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="tokens"
    )
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True, related_name="tokens")
    reads_only = models.BooleanField(default=False, db_default=False)
    kind = models.CharField(max_length=8, choices=CredentialKind)
    label = models.CharField(max_length=63)
    digest = models.CharField(max_length=64, unique=True)
    previous_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    objects = CredentialQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        # A separate permission: a secret lets its holder read what the cluster's jobs run.
        permissions = [("manage_credential", "Can make, rotate and revoke credentials, and so act for clusters")]
        constraints = [
            models.CheckConstraint(name="credential_kind_is_known", condition=Q(kind__in=CredentialKind)),
            models.UniqueConstraint(
                name="one_live_credential_per_label",
                fields=["cluster", "kind", "label"],
                condition=Q(revoked_at__isnull=True),
            ),
            models.UniqueConstraint(
                name="one_live_token_per_label",
                fields=["person", "label"],
                condition=Q(revoked_at__isnull=True, kind=CredentialKind.PERSONAL),
            ),
            models.UniqueConstraint(
                name="one_live_project_token",
                fields=["project", "label"],
                condition=Q(revoked_at__isnull=True, kind=CredentialKind.PROJECT),
            ),
            models.CheckConstraint(
                name="credential_has_one_holder",
                condition=Q(
                    kind__in=OF_CLUSTERS,
                    cluster__isnull=False,
                    person__isnull=True,
                    project__isnull=True,
                    reads_only=False,
                )
                | Q(kind=CredentialKind.PERSONAL, cluster__isnull=True, person__isnull=False, expires_at__isnull=False)
                | Q(
                    kind=CredentialKind.PROJECT,
                    cluster__isnull=True,
                    person__isnull=True,
                    project__isnull=False,
                    expires_at__isnull=False,
                ),
            ),
        ]

    @property
    def home(self) -> Cluster:
        """Of a token or secret of a cluster."""
        assert self.cluster is not None
        return self.cluster

    def __str__(self) -> str:
        if self.kind == CredentialKind.PERSONAL:
            return f"{self.person} ({self.label})"
        return f"{self.project} ({self.label})" if self.kind == CredentialKind.PROJECT else f"{self.kind} {self.label}"


class Scope(models.Model):
    """A cluster or pool that a token of a person or project is narrowed to; one without any reaches all of theirs."""

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="scopes", db_index=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="scoped_once", fields=["credential", "cluster"])]

    def __str__(self) -> str:
        return f"{self.credential} at {self.cluster}"


class FormerValue(models.Model):
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="former_values")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.credential} until {self.expires_at}"


class Streak(models.Model):
    """Consecutive jobs of one token that failed at once on a cluster, and since when they hold back the token's jobs.

    The token may belong to another cluster, if its jobs were moved.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="streaks", db_index=False)
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="streaks")
    failures = models.IntegerField()
    held_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=1000, default="", blank=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="one_streak_per_token", fields=["cluster", "credential"]),
            models.CheckConstraint(name="held_token_has_reason", condition=Q(held_at__isnull=True) | ~Q(reason="")),
        ]

    @property
    def whose(self) -> str:
        """The token, with its cluster or pool where it is another than this cluster."""
        own = self.cluster_id == self.credential.cluster_id
        return str(self.credential) if own else f"{self.credential} of {self.credential.cluster}"

    @property
    def why(self) -> str:
        """The reason, with the cluster where it is another than the token's."""
        return self.reason if self.cluster_id == self.credential.cluster_id else f"{self.cluster}: {self.reason}"

    def __str__(self) -> str:
        return f"{self.failures} of {self.credential}"


class FailedAttempts(models.Model):
    """Refused credentials of a source (an address, a cluster's name) in one window."""

    source = models.CharField(max_length=100, unique=True)
    began_at = models.DateTimeField(db_index=True)
    failures = models.IntegerField()

    class Meta:
        verbose_name_plural = "failed attempts"

    def __str__(self) -> str:
        return f"{self.failures} from {self.source}"
