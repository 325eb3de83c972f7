"""Projects: people who use clusters together."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from clusters.models.cluster import Cluster

MAX_WEIGHT = 1_000


class Project(models.Model):
    """People who may use clusters and pools together. `shares_jobs`: its members see each other's jobs.

    A closed project grants nothing. It stays, with its name: jobs belong to it.
    """

    name = models.CharField(max_length=63, unique=True)
    made_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    shares_jobs = models.BooleanField(default=False)
    # From 1 to MAX_WEIGHT. Where submitters take turns, a node of its jobs costs one over this.
    weight = models.PositiveSmallIntegerField(default=1, db_default=1)

    class Meta:
        default_permissions = ("view", "change")
        constraints = [models.CheckConstraint(name="project_has_name", condition=~Q(name=""))]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """A lead also looks after the members and the tokens of the project."""

    MEMBER = "member", "member"
    LEAD = "lead", "lead"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=6, choices=Role)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="member_once_per_project", fields=["project", "person"]),
            models.CheckConstraint(name="role_is_known", condition=Q(role__in=Role)),
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.project}"


class Grant(models.Model):
    """A project may submit jobs to a cluster or a pool."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="grants", db_index=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(name="granted_once", fields=["project", "cluster"])]

    def __str__(self) -> str:
        return f"{self.cluster} for {self.project}"


class ProjectWhat(models.TextChoices):
    MADE = "made", "made"
    CLOSED = "closed", "closed"
    REOPENED = "reopened", "reopened"
    SHARES = "shares", "lets members see each other's jobs"
    SHARES_NOT = "shares_not", "keeps members' jobs apart"
    MEMBER_ADDED = "member_added", "took in"
    ROLE_CHANGED = "role_changed", "changed the role of"
    MEMBER_REMOVED = "member_removed", "let go"
    GRANTED = "granted", "was granted"
    WITHDRAWN = "withdrawn", "may no longer use"
    TOKEN_MADE = "token_made", "made"
    TOKEN_REVOKED = "token_revoked", "revoked"
    LIMITED = "limited", "may have at most"
    WEIGHED = "weighed", "weighs"


class ProjectEvent(models.Model):
    """A change to a project; `about` is the person, the cluster or the token, in words. Append-only."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="events", db_index=False)
    at = models.DateTimeField()
    what = models.CharField(max_length=14, choices=ProjectWhat)
    about = models.CharField(max_length=255, blank=True)
    # None is the server's command line.
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    why = models.CharField(max_length=1000, blank=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["project", "id"], name="event_by_project")]
        constraints = [models.CheckConstraint(name="project_event_is_known", condition=Q(what__in=ProjectWhat))]

    @property
    def who(self) -> str:
        return self.by.get_username() if self.by else "the server"

    def __str__(self) -> str:
        return f"{self.what} at {self.at:%Y-%m-%d %H:%M:%S}"
