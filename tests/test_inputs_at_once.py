"""Many who put files for jobs at once."""

from datetime import datetime
from threading import Thread
from typing import Any

import pytest
from django.db import connection

from jobs.models import Input
from jobs.services.inputs import keep_input
from rainbow.errors import ResourceExhausted
from tests.test_inputs import MIB


@pytest.mark.django_db(transaction=True)
def test_many_that_put_files_at_once_stay_within_the_quota(alpha: Any, now: datetime, settings: Any) -> None:
    settings.RAINBOW_INPUTS_MIB = 2
    outcomes: list[object] = []

    def one(number: int) -> None:
        try:
            outcomes.append(
                keep_input(caller=alpha.submitter, project="", content=bytes([number]) * (MIB // 2), now=now).size
            )
        except ResourceExhausted:
            outcomes.append("full")
        finally:
            connection.close()

    threads = [Thread(target=one, args=(number // 2,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Input.objects.count() == 4
    assert len(outcomes) == 16
