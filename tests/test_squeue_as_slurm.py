"""The tasks of an array that wait, as `rainbow squeue` and a real squeue print them."""

from rainbow.arrays import array_in
from rainbow.protos import rainbow_pb2 as pb
from rainbow.slurm_commands.waiting_tasks import entries
from rainbow.translation import job
from tests.support import schedulers
from tests.support.schedulers import needs_slurm
from tests.support.slurm_cluster import SlurmCluster

slurm_cluster = schedulers.slurm_cluster

ARRAYS = [
    "5",
    "5,7",
    "0-9%2",
    "0-100:3",
    "1-399:2",
    "0-1,3-5",
    "0,2,4-6",
    "1,3,5%1",
    "0-10:2",
    "0-11:11",
    "0-12:2%3",
    "5,70",
    "5,70,71",
    ",".join(map(str, range(100, 164, 3))) + ",999",
    ",".join(str(number * 7 % 100) for number in range(1, 24)),
    "0-3,100-103,7",
    ",".join(str(number**2) for number in range(30)),
    ",".join(str(number**2) for number in range(30)) + "%4",
    # Of 61 characters, and of 62.
    *(
        f"0,{','.join(str(number) for number in range(100, 128, 2))},{last}{most}"
        for last in (500, 1000)
        for most in ("", "%1")
    ),
]


def waiting(array: str) -> str:
    """What stands between the brackets of the one line."""
    asked = array_in(array)
    newest_first = reversed(asked.indexes)
    tasks = [job(pb.Job(id=1 + index, state=pb.JOB_STATE_QUEUED, group=1, array_index=index)) for index in newest_first]
    (entry,) = entries(tasks, at_once=lambda _: asked.at_once)
    return entry.tasks


@needs_slurm
def test_the_tasks_that_wait_are_written_as_by_a_real_squeue(slurm_cluster: SlurmCluster) -> None:
    words = ["sbatch", "--parsable", "--hold", "--partition", "debug", "--wrap", "true", "--array"]
    ids = {array: slurm_cluster.run(*words, array).strip() for array in ARRAYS}

    told = {
        array: slurm_cluster.run("squeue", "--noheader", "--format=%K", "--jobs", jobid).strip()
        for array, jobid in ids.items()
    }

    assert {array: waiting(array) for array in ARRAYS} == told
