"""A webhook that is removed while a job of its project ends."""

from datetime import datetime
from typing import Any

import pytest

from jobs.models import Job, WebhookMessage
from jobs.services.webhooks import remove_webhook
from jobs.states import JobState
from tests.support.members import project_of, submitted_by
from tests.support.turns import race
from tests.test_webhooks import ended, webhook


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_removed_meanwhile_undoes_no_end(alpha: Any, alice: Any, now: datetime) -> None:
    project_of(alice, now=now)
    hook = webhook(now=now)
    first, second = submitted_by(alice, 2, now=now)

    met = race(lambda: ended(alpha, first, now=now), lambda: remove_webhook(webhook_id=hook.id))

    assert met.waited
    assert Job.objects.get(id=first).state == JobState.FAILED
    assert not WebhookMessage.objects.exists()
    ended(alpha, second, now=now)
    assert not WebhookMessage.objects.exists()
