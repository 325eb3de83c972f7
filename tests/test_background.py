"""Work that goes on for as long as a server runs: no failure ends it."""

import asyncio
import logging

import pytest

from grpc_api.runtime import background
from grpc_api.runtime.background import supervise


def test_work_that_fails_is_restarted_and_the_log_says_where(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "RESTART_AFTER_SECONDS", 0.001)
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 3:
            raise asyncio.CancelledError
        raise KeyError("of a caller")

    with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
        asyncio.run(supervise("leases", work))

    assert begun == 3
    assert [record.getMessage() for record in caplog.records] == ["unexpected failure; restarting work=leases"] * 2
    assert all(record.exc_info and record.exc_info[0] is KeyError for record in caplog.records)
