from django.db import models

from clusters.models import Cluster, Credential


class Queue(models.Model):
    """Waiting jobs that are alike: of one cluster or pool, with the same needs and sizes of the same classes.

    Which it stands for is in `definition` (jobs.placement.Definition), whose SHA-256 is the digest. The bounds of a
    request are compared with the least and the most that its jobs may have.
    """

    # The cluster or pool that its jobs were submitted to.
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="queues")
    digest = models.BinaryField(max_length=32, unique=True)
    definition = models.JSONField()
    # Jobs of one cluster that published clients may take as well: they need nothing that must be looked up.
    plain = models.BooleanField()
    least_nodes = models.IntegerField()
    most_nodes = models.IntegerField()
    least_tasks = models.IntegerField()
    most_tasks = models.IntegerField()
    least_cores = models.BigIntegerField()
    most_cores = models.BigIntegerField()
    least_time_limit_seconds = models.IntegerField()
    most_time_limit_seconds = models.IntegerField()
    # Whose submission made it, for the limit on queues of a credential.
    made_by = models.ForeignKey(Credential, on_delete=models.SET_NULL, null=True, related_name="+")
    made_at = models.DateTimeField()
    empty_since = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"queue {self.pk} of {self.cluster}"


class Serves(models.Model):
    """A cluster that may take jobs of a queue, each once it has waited for `after_seconds`.

    Kept, and computed anew when a queue is made or facts or pools change. `whole` tells that all jobs which the queue
    may ever hold fit the cluster; otherwise each is compared with its facts.
    """

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="served_by", db_index=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="serves", db_index=False)
    after_seconds = models.IntegerField()
    whole = models.BooleanField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["cluster", "queue"], name="serves_by_cluster")]
        constraints = [models.UniqueConstraint(fields=["queue", "cluster"], name="serves_once")]

    def __str__(self) -> str:
        return f"{self.cluster} serves queue {self.queue_id}"
