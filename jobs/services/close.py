"""Closing a cluster whose own secret asks for it."""

from contextlib import suppress
from datetime import datetime

from clusters.callers import Caller
from clusters.models import Credential, CredentialKind
from clusters.services.credentials import revoke_credential
from clusters.services.pause import pause_cluster
from jobs.models import Job
from jobs.services.cancel import MAX_IDS, cancel_jobs
from jobs.states import UNTAKEN
from rainbow.errors import FailedPrecondition

_CLOSED = "closed by its own secret"


def close_cluster(*, by: Caller, now: datetime) -> bool:
    """Cancels what waits there, pauses the cluster and revokes its credentials; its record stays, and its name.

    False where more than 10,000 jobs wait: then the secret still works, to ask again. What is interrupted goes on so.
    """
    waiting = Job.objects.filter(cluster_id=by.cluster_id, state__in=UNTAKEN).order_by("id")
    ids = list(waiting.values_list("id", flat=True)[:MAX_IDS])
    if ids:
        cancel_jobs(by=by, job_ids=ids, reason=_CLOSED, now=now)
    if len(ids) == MAX_IDS:
        return False
    with suppress(FailedPrecondition):
        pause_cluster(cluster_id=by.cluster_id, reason=_CLOSED, by=by, now=now)
    live = Credential.objects.live(now).filter(cluster_id=by.cluster_id)
    # The secrets last.
    for credential in sorted(live, key=lambda one: one.kind == CredentialKind.SECRET):
        with suppress(FailedPrecondition):
            revoke_credential(credential=credential, by=by, reason=_CLOSED, now=now)
    return True
