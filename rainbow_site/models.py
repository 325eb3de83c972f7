from django.conf import settings
from django.db import models
from django.db.models import Q


class Identity(models.Model):
    """A person as a provider of OpenID Connect knows them. Names and addresses may change hands there; this may not."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(name="one_person_per_identity", fields=["issuer", "subject"]),
            models.CheckConstraint(name="identity_has_subject", condition=~Q(issuer="") & ~Q(subject="")),
        ]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
