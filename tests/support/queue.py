"""Shorthand for jobs that are in the queue before a test."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from clusters.callers import Operator
from jobs.models import Job, JobCount
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec


def submitted(member: Any, number: int = 1, *, now: datetime, held_by_group: bool = False, **spec: Any) -> list[int]:
    wanted = JobSpec(**{"command": "hostname", **spec})
    order = {"by": member.submitter, "cluster_id": member.cluster.id, "spec": wanted, "held_by_group": held_by_group}
    orders = [Order(**order) for _ in range(number)]
    receipts = submit_jobs(orders=orders, now=now)
    assert all(isinstance(receipt, Receipt) for receipt in receipts), receipts
    return [receipt.job_id for receipt in receipts if isinstance(receipt, Receipt)]


def counted() -> dict[tuple[str, str, int], int]:
    """The stored counts by cluster's name, state and priority."""
    rows = JobCount.objects.values_list("cluster__name", "state", "priority", "jobs")
    totals: dict[tuple[str, str, int], int] = {}
    for cluster, state, priority, jobs in rows:
        key = (cluster, state, priority)
        totals[key] = totals.get(key, 0) + jobs
    return {key: jobs for key, jobs in totals.items() if jobs}


def recounted() -> dict[tuple[str, str, int], int]:
    totals: dict[tuple[str, str, int], int] = {}
    for key in Job.objects.values_list("cluster__name", "state", "priority"):
        totals[key] = totals.get(key, 0) + 1
    return totals


def operator_named(name: str) -> Operator:
    return Operator(user_id=User.objects.create_user(name, is_staff=True).id, name=name)
