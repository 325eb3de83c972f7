"""What was taken from people and credentials."""

from django.conf import settings
from django.db import models

from clusters.models.credential import Credential
from clusters.models.project import Project


class Withdrawal(models.Model):
    """A credential was revoked, or a person or a project may do less than before.

    Servers read these twice a second and admit the calls anew that wait (clusters/queries/withdrawals.py). Rows and not
    one counter: transactions that update one row could deadlock. `walked_to` is the last waiting job that was looked at
    for reach; `settled_at` is set when all were, or none can be concerned.
    """

    at = models.DateTimeField()
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    walked_to = models.IntegerField(default=0)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.credential or self.person or self.project} at {self.at:%Y-%m-%d %H:%M:%S}"
