"""What the scheduler's options of a job are at the agent's own cluster."""

from rainbow.agent.policy import CHOICES, Policy
from rainbow.records import JobState
from tests.support.agent_cast import Hire, handed_over, key
from tests.support.agents import Crew, ScriptedExecutor

NOTHING = dict.fromkeys(CHOICES, ())


def test_a_job_has_the_options_of_this_cluster(scripted: Crew, scheduler: ScriptedExecutor) -> None:
    here = scripted.client.cluster
    jobid = handed_over(
        scripted,
        account="physics",
        partition="batch",
        qos="high",
        options_by_cluster={f"{here}:partition": "debug", f"{here}:qos": "", "other:account": "chemistry"},
    )

    work = scheduler.jobs[key(jobid)]

    assert (work.account, work.partition, work.qos) == ("physics", "debug", "")


def test_the_policy_is_about_the_options_of_this_cluster(hire: Hire, scheduler: ScriptedExecutor) -> None:
    policy = Policy(allowed_choices={**NOTHING, "partition": ("debug",)})
    crew = hire(executor=scheduler, policy=policy)
    here = crew.client.cluster

    handed_over(crew, partition="batch", options_by_cluster={f"{here}:partition": "debug", "other:qos": "high"})
    refused = crew.submit(partition="debug", options_by_cluster={f"{here}:partition": "batch"})
    crew.work(lambda: crew.job(refused).state == JobState.FAILED)

    assert crew.job(refused).reason == (
        "partition: this cluster does not allow batch; it allows debug (allowed_partitions)"
    )
    assert key(refused) not in scheduler.jobs
