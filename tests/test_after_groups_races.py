"""A job that is to wait for a group, while the group ends."""

from datetime import datetime
from typing import Any

import pytest

from jobs.models import GroupDependency, JobGroup
from jobs.services.group_steps import step_group
from tests.support.turns import race
from tests.test_after_groups import OK, end, new_group, state_of, waiting_for


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("submission_first", [True, False])
def test_a_submission_and_the_end_of_the_group(alpha: Any, now: datetime, submission_first: bool) -> None:
    group, members = new_group(alpha, 1, now)
    end(alpha, members, OK, now)

    def submit() -> int:
        return waiting_for(alpha, now, f"group:{group}")

    def finish() -> bool:
        return step_group(group_id=group, now=now)

    met = race(submit, finish) if submission_first else race(finish, submit)

    assert met.waited
    assert JobGroup.objects.get(id=group).outcome == OK
    assert state_of(met.first if submission_first else met.second) == "queued"
    assert not GroupDependency.objects.exists()
