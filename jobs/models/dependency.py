from django.db import models
from django.db.models import Q

from jobs.after import Wants
from jobs.models.group import JobGroup
from jobs.models.job import Job


class JobDependency(models.Model):
    """That a blocked job waits for another; deleted once that has ended and this was applied to the job."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="dependencies", db_index=False)
    parent = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="dependents", db_index=False)
    wants = models.CharField(max_length=6, choices=Wants)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["parent", "job"], name="dependency_by_parent")]
        constraints = [
            models.UniqueConstraint(fields=["job", "parent", "wants"], name="one_dependency_of_a_kind"),
            models.CheckConstraint(name="job_waits_for_another", condition=~Q(job=models.F("parent"))),
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} after {self.wants}:{self.parent_id}"


class EndedParent(models.Model):
    """A job that has ended, and that others still wait for: more than its end released, or some that were locked."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"job {self.job_id} has ended"


class GroupDependency(models.Model):
    """The same on a group."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_index=False)
    group = models.ForeignKey(JobGroup, on_delete=models.CASCADE, related_name="dependents", db_index=False)
    wants = models.CharField(max_length=6, choices=Wants)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["group", "job"], name="dependency_by_group")]
        constraints = [
            models.UniqueConstraint(fields=["job", "group", "wants"], name="one_group_dependency_of_a_kind"),
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} after {self.wants}:group:{self.group_id}"


class EndedGroup(models.Model):
    """A group that is finished, and that jobs still wait for."""

    group = models.OneToOneField(JobGroup, on_delete=models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"group {self.group_id} is finished"
