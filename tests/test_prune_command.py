"""`manage.py prune`."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from jobs.models import Job
from jobs.queries.summaries import summarize_jobs
from jobs.services.accept import accept_jobs
from jobs.services.cancel import cancel_jobs
from jobs.services.orders import Order, Receipt
from jobs.services.submit import submit_jobs
from jobs.specs import JobSpec
from jobs.states import JobState
from tests.conftest import Member


def submitted(member: Member, *, days_ago: int) -> int:
    order = Order(by=member.submitter, cluster_id=member.cluster.id, spec=JobSpec(command="hostname"))
    receipt = submit_jobs(orders=[order], now=timezone.now() - timedelta(days=days_ago))[0]
    assert isinstance(receipt, Receipt)
    return receipt.job_id


def cancelled(member: Member, *, days_ago: int) -> int:
    job_id = submitted(member, days_ago=days_ago)
    cancel_jobs(by=member.submitter, job_ids=[job_id], now=timezone.now() - timedelta(days=days_ago))
    return job_id


def handed_over(member: Member, *, days_ago: int) -> int:
    job_id = submitted(member, days_ago=days_ago)
    accept_jobs(caller=member.puller, job_ids=[job_id], now=timezone.now() - timedelta(days=days_ago))
    return job_id


def prune(days: str) -> str:
    said = StringIO()
    call_command("prune", f"--older-than={days}", stdout=said)
    return said.getvalue()


def test_prune_deletes_what_ended_before_and_says_how_many(alpha: Member) -> None:
    old, young = cancelled(alpha, days_ago=31), cancelled(alpha, days_ago=29)
    gone = handed_over(alpha, days_ago=31)

    said = prune("30")

    assert said == "Pruned 2 jobs.\n"
    assert not Job.objects.filter(id__in=[old, gone]).exists()
    assert Job.objects.filter(id=young).exists()


def test_prune_leaves_what_waits_however_old_it_is(alpha: Member) -> None:
    submitted(alpha, days_ago=1000)

    said = prune("0")

    assert said == "Pruned 0 jobs.\n"
    assert summarize_jobs(cluster_ids=[alpha.cluster.id])[0].counts == {JobState.QUEUED: 1}


def test_prune_corrects_the_counts(alpha: Member) -> None:
    cancelled(alpha, days_ago=1)

    said = prune("0")

    assert said == "Pruned 1 job.\n"
    assert summarize_jobs(cluster_ids=[alpha.cluster.id])[0].counts == {}


def test_prune_deletes_expired_sessions_and_leaves_the_others(db: None) -> None:
    for key, hours in (("over", -1), ("going-on", 1)):
        Session.objects.create(session_key=key, expire_date=timezone.now() + timedelta(hours=hours))

    said = prune("90")

    assert said == "Pruned 0 jobs.\n"
    assert [session.session_key for session in Session.objects.all()] == ["going-on"]


@pytest.mark.parametrize("days", ["-1", "soon", "1.5", "36501", "٣"])
def test_prune_refuses_an_age_that_is_none(days: str) -> None:
    with pytest.raises(CommandError, match="0 to 36,500"):
        prune(days)


def test_prune_asks_for_an_age() -> None:
    with pytest.raises(CommandError, match="--older-than"):
        call_command("prune")
