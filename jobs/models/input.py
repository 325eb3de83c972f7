from django.db import models

from jobs.models.job import Job


class Input(models.Model):
    """A file for jobs, kept once in its scope: `p` and the id of a project, or `c` and that of a cluster or pool whose
    token it came with. Another's is another file, so that nobody learns what others have.
    """

    scope = models.CharField(max_length=32)
    sha256 = models.CharField(max_length=64)
    size = models.IntegerField()
    content = models.BinaryField()
    # When it was put here last, or was last seen to be needed.
    kept_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["scope", "sha256"], name="one_input_per_digest")]
        indexes = [models.Index(fields=["kept_at"], name="input_by_age")]

    def __str__(self) -> str:
        return self.sha256


class JobInput(models.Model):
    """That a job names an input, which is kept until the job is over."""

    # Deleted with the job, by statements of their own (jobs.sql.old_jobs).
    job = models.ForeignKey(Job, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    input = models.ForeignKey(Input, on_delete=models.CASCADE, related_name="+", db_index=False)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["job", "input"], name="one_use_per_input")]
        indexes = [models.Index(fields=["input"], name="job_by_input")]

    def __str__(self) -> str:
        return f"{self.input_id} of {self.job_id}"
