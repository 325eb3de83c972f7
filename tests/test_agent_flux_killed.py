"""An agent beside Flux that is killed while it hands a batch over: every job runs once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rainbow.agent.context import Checkpoint, ignore_checkpoint
from rainbow.records import JobState
from tests.support.agents import crew
from tests.support.executors import lines_of
from tests.support.flux_cast import CAST, Place
from tests.support.servers import RainbowServer
from tests.support.wire import joined

JOBS = 3
MOMENTS = (Checkpoint.SUBMITTING_NOTED, Checkpoint.SUBMITTED, Checkpoint.SUBMITTED_NOTED)


class Killed(BaseException):
    """What no part of the agent catches."""


@pytest.mark.parametrize("place", [CAST[1], CAST[3]], indirect=True)
def test_an_agent_that_is_killed_in_a_batch_leaves_each_job_to_run_once(
    server: RainbowServer, place: Place, tmp_path: Path
) -> None:
    with (
        joined(server) as cluster,
        crew(cluster, server.address, place.site.folder, executor=place.flux, ahead=50) as agent,
    ):
        for moment in MOMENTS:
            ran = tmp_path / moment.name
            jobids = [agent.submit(f"echo {number} >> {ran}") for number in range(JOBS)]
            agent.checkpoint = killed_at(moment)
            with pytest.raises(Killed):
                agent.work(lambda: False)
            agent.checkpoint = ignore_checkpoint

            agent.restart()
            jobs = agent.finish(*jobids)

            assert sorted(lines_of(ran)) == ["0", "1", "2"], moment
            assert {(job.state, job.attempt) for job in jobs} == {(JobState.COMPLETED, 1)}, moment


def killed_at(doom: Checkpoint) -> Callable[[Checkpoint], None]:
    def pass_by(moment: Checkpoint) -> None:
        if moment == doom:
            raise Killed

    return pass_by
