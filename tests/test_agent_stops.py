"""Jobs that are stopped together."""

from pathlib import Path

from tests.support.agents import ScriptedExecutor, crew
from tests.support.servers import RainbowServer
from tests.support.wire import joined


def test_jobs_are_stopped_with_one_call_of_the_scheduler(server: RainbowServer, tmp_path: Path) -> None:
    """A call costs some schedulers half a second."""
    scheduler = ScriptedExecutor()
    with joined(server) as cluster, crew(cluster, server.address, tmp_path, executor=scheduler) as agent:
        jobids = [agent.submit() for _ in range(4)]
        agent.work(lambda: all(agent.job(jobid).native_id.startswith("native-") for jobid in jobids))
        agent.client.cancel_jobs(jobids)
        agent.clock.move(200)  # the next heartbeat is due

        agent.work(lambda: scheduler.cancelled)

        assert set(scheduler.cancelled) == {f"rainbow-{jobid}-1" for jobid in jobids}
        assert scheduler.calls.count("cancel") == 1
