from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q

MAX_MEMBERS = 100
MAX_AFTER_SECONDS = 86_400


class CredentialKind(models.TextChoices):
    TOKEN = "token", "token"
    SECRET = "secret", "secret"


class Cluster(models.Model):
    """A cluster, or a pool: a set of clusters under one name, whose waiting jobs any of its members may take.

    A pool has tokens but no secret: it has no agent and never asks.
    """

    name = models.CharField(max_length=63, unique=True)
    pool = models.BooleanField(default=False, db_default=False)
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


class CredentialQuerySet(models.QuerySet["Credential"]):
    def live(self, now: datetime) -> "CredentialQuerySet":
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), revoked_at__isnull=True)


class Credential(models.Model):
    """A token or a secret of a cluster. `digest` is the SHA-256 of its value, in hexadecimal.

    Rotation replaces the value; former values may work for a while. `previous_expires_at` is the end of the value that
    the last rotation replaced. `issued_by` is the operator who was shown the value, or who issued the credential that
    created it.
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
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.label}"


class FormerValue(models.Model):
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="former_values")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.credential} until {self.expires_at}"


class ClusterWhat(models.TextChoices):
    REGISTERED = "registered", "registered"
    PAUSED = "paused", "paused"
    RESUMED = "resumed", "resumed"
    POOL_MADE = "pool_made", "made a pool"
    POOL_CHANGED = "pool_changed", "changed its members"
    FACTS_CHANGED = "facts_changed", "told other facts"
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
