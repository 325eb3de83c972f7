"""Webhooks: what tells others of the jobs of a project, and what is still to be told."""

from django.db import models
from django.db.models import Q

from clusters.models import Project


class Notification(models.TextChoices):
    """The types of what is told, as a webhook chooses them and as a message names them."""

    JOB_ENDED = "job.ended", "a job ended"
    JOB_LOST = "job.lost", "contact with a job was lost"
    GROUP_FINISHED = "group.finished", "all members of a group ended"


class Webhook(models.Model):
    """An address that is told of events of a project's jobs.

    `secret` signs the messages, so it is kept as it is. `failing_since` and `failures` count what failed without a
    success in between, after which nothing is sent before `next_at`. One server at a time sends: the `holder`, whose
    turn ends, or ended, at `held_until`.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=2048)
    events = models.JSONField(default=list)
    secret = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    # Nothing is noted or sent any more, and why.
    off_at = models.DateTimeField(null=True, blank=True)
    off_reason = models.TextField(blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    failures = models.IntegerField(default=0)
    last_failure = models.TextField(blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=36, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(name="webhook_has_url", condition=~Q(url=""))]

    def __str__(self) -> str:
        return f"webhook {self.pk} of {self.project}"


class WebhookMessage(models.Model):
    """What a webhook is still to be told: written with the event, deleted once it was delivered. Receivers tell repeats
    by `uid`.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="messages", db_index=False)
    uid = models.CharField(max_length=40)
    at = models.DateTimeField()
    body = models.TextField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["webhook", "id"], name="message_by_webhook")]

    def __str__(self) -> str:
        return self.uid
