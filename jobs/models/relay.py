from django.db import models

from clusters.models import Cluster
from jobs.models.job import Job


class Relay(models.Model):
    """A reader of a job's output, to whom an agent sends it (jobs/services/relays.py)."""

    # Known to the agent alone.
    id = models.CharField(max_length=32, primary_key=True)
    job = models.ForeignKey(Job, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    cluster = models.ForeignKey(
        Cluster, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    agent = models.CharField(max_length=255)
    attempt = models.IntegerField()
    from_byte = models.BigIntegerField()
    # When the reader was last there.
    read_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["job"], name="relay_by_job")]

    def __str__(self) -> str:
        return f"output of job {self.job_id}"


class RelayedChunk(models.Model):
    """What an agent sent to another process than the one that its reader is connected to; a few at a time."""

    relay = models.ForeignKey(Relay, on_delete=models.CASCADE, related_name="chunks", db_index=False)
    offset = models.BigIntegerField()
    data = models.BinaryField()
    end = models.BooleanField(default=False)
    error = models.CharField(max_length=1000, default="", blank=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["relay", "id"], name="chunk_by_relay")]

    def __str__(self) -> str:
        return f"chunk at {self.offset}"
