"""The schema of jobs."""

from jobs.models.bulk_action import BulkAction
from jobs.models.counts import JobActivity, JobCount
from jobs.models.dependency import EndedGroup, EndedParent, GroupDependency, JobDependency
from jobs.models.group import GroupCount, JobGroup
from jobs.models.input import Input, JobInput
from jobs.models.job import MAX_ID, Job, JobAttempt, JobEvent, JobLabel, JobQuerySet, cores_of, said_key
from jobs.models.lease_watch import LeaseWatch
from jobs.models.queue import Queue, Serves
from jobs.models.relay import Relay, RelayedChunk
from jobs.models.retention_lease import RetentionLease
from jobs.models.turn import Turn
from jobs.models.usage import Usage
from jobs.models.webhook import Notification, Webhook, WebhookMessage
from jobs.models.wish import Wish

__all__ = [
    "MAX_ID",
    "BulkAction",
    "EndedGroup",
    "EndedParent",
    "GroupCount",
    "GroupDependency",
    "Input",
    "Job",
    "JobActivity",
    "JobAttempt",
    "JobCount",
    "JobDependency",
    "JobEvent",
    "JobGroup",
    "JobInput",
    "JobLabel",
    "JobQuerySet",
    "LeaseWatch",
    "Notification",
    "Queue",
    "Relay",
    "RelayedChunk",
    "RetentionLease",
    "Serves",
    "Turn",
    "Usage",
    "Webhook",
    "WebhookMessage",
    "Wish",
    "cores_of",
    "said_key",
]
