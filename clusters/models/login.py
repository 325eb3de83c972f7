"""Command lines that ask for a token of the person at them (RFC 8628)."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Login(models.Model):
    """A command line that waits for a person to approve it on a page.

    It holds a value whose SHA-256 is `digest`; the person types, or follows a link with, the short `code`. The token is
    made when the command line collects it, so that its value is never stored.
    """

    digest = models.CharField(max_length=64, unique=True)
    code = models.CharField(max_length=9, unique=True)
    # What the command line says of itself, and where it called from: both for the person who approves it.
    label = models.CharField(max_length=63)
    address = models.CharField(max_length=45)
    # As which its logins are counted (clusters.services.throttle.source_at).
    source = models.CharField(max_length=100)
    days = models.SmallIntegerField()
    began_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    approved_at = models.DateTimeField(null=True)
    denied_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                name="approved_login_has_person",
                condition=Q(approved_at__isnull=True) | Q(person__isnull=False, denied_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} from {self.address}"
