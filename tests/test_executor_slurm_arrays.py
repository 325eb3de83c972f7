"""Jobs that a real Slurm gets together, as one array: each is still a job of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainbow.executors.executor import Ending, JobPhase, NotTaken, Site, Ticket, WorkRefused
from rainbow.executors.slurm import SlurmExecutor
from rainbow.executors.slurm_array_limits import MOST_BYTES, batched_alike
from rainbow.specs import Work
from tests.support.executors import lines_of, until_there, wait_for, wait_until
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_commands

pytestmark = pytest.mark.skipif(bool(missing_commands()), reason=f"Slurm is not installed: {missing_commands()}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    running = SlurmCluster(folder=tmp_path_factory.mktemp("slurm"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def site(cluster: SlurmCluster, tmp_path: Path) -> Site:
    """With all that is hard in a path."""
    return Site(folder=tmp_path / "the agent's 100% état", environment=cluster.environment)


@pytest.fixture
def slurm(site: Site, cluster: SlurmCluster) -> Iterator[SlurmExecutor]:
    executor = SlurmExecutor(site)
    yield executor
    cluster.run("scontrol", "update", "PartitionName=debug", "State=UP")
    cluster.run("scancel", "--me")
    wait_until(lambda: executor.capacity().slots == 2 * NODES)


def key(number: int) -> str:
    return f"rainbow-{number}-1"


def hand_over_together(slurm: SlurmExecutor, *commands: str, first: int = 1, **more: object) -> list[Ticket]:
    works = {key(first + place): Work(command=command, **more) for place, command in enumerate(commands)}  # type: ignore[arg-type]
    natives = slurm.submit_together(works)
    return [Ticket(key=name, native_id=natives[name]) for name in works]


def closed(cluster: SlurmCluster) -> None:
    cluster.run("scontrol", "update", "PartitionName=debug", "State=DOWN")


def test_each_job_has_its_own_command_variables_output_and_end(slurm: SlurmExecutor, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    works = {
        key(1): Work(command='echo "$GREETING"', environment={"GREETING": "it's\n'me'"}),
        key(2): Work(command="pwd; exit 7", working_directory=str(tmp_path / "here")),
        key(3): Work(command="kill -9 $$"),
        key(4): Work(command="cd /; env | grep -c ^SLURM_ARRAY || :"),
    }
    assert slurm.batches(works) == [list(works)]

    natives = slurm.submit_together(works)
    tickets = [Ticket(key=name, native_id=natives[name]) for name in works]
    ends = [wait_for(slurm, ticket, JobPhase.ENDED) for ticket in tickets]

    assert len({native.partition("_")[0] for native in natives.values()}) == 1
    assert [(end.ending, end.exit_code, end.signal) for end in ends] == [
        (Ending.EXITED, 0, None),
        (Ending.EXITED, 7, None),
        (Ending.SIGNALLED, None, 9),
        (Ending.EXITED, 0, None),
    ]
    assert [slurm.output(tickets[place]) for place in (0, 1, 3)] == ["it's\n'me'\n", f"{tmp_path / 'here'}\n", "0\n"]


def test_records_that_left_the_queue_are_told_by_the_jobs_themselves(
    slurm: SlurmExecutor, cluster: SlurmCluster, site: Site
) -> None:
    tickets = hand_over_together(slurm, "exit 3", "exit 4")
    for ticket in tickets:
        wait_for(slurm, ticket, JobPhase.ENDED)
    wait_until(lambda: not json.loads(cluster.run("squeue", "--json"))["jobs"])

    told = SlurmExecutor(site).watch(tickets)

    assert [told[ticket.key].exit_code for ticket in tickets] == [3, 4]
    assert SlurmExecutor(site).find([ticket.key for ticket in tickets]) == {
        ticket.key: ticket.native_id for ticket in tickets
    }


def test_tasks_that_wait_are_seen_each_also_where_many_are_told_in_one_word(
    slurm: SlurmExecutor, cluster: SlurmCluster
) -> None:
    closed(cluster)
    tickets = hand_over_together(slurm, *["true"] * 90)
    cluster.run("scontrol", "hold", ",".join(ticket.native_id for ticket in tickets[::3]))

    seen = slurm.watch(tickets)

    assert {progress.phase for progress in seen.values()} == {JobPhase.PENDING}
    assert len(seen) == len(tickets)


def test_the_next_agent_finds_each_and_no_other_agent_does(
    slurm: SlurmExecutor, cluster: SlurmCluster, site: Site, tmp_path: Path
) -> None:
    closed(cluster)
    tickets = hand_over_together(slurm, "true", "true", "true")
    names = [ticket.key for ticket in tickets]

    stranger = SlurmExecutor(Site(folder=tmp_path / "other", environment=site.environment))

    assert SlurmExecutor(site).find([*names, key(9)]) == {ticket.key: ticket.native_id for ticket in tickets}
    assert stranger.find(names) == {}


def test_one_is_cancelled_while_it_waits_and_one_while_it_runs(slurm: SlurmExecutor, tmp_path: Path) -> None:
    go = until_there(tmp_path / "go")
    tickets = hand_over_together(slurm, *[f"echo ran >> {tmp_path / 'ran'}; {go}"] * (2 * NODES + 2))
    for ticket in tickets[: 2 * NODES]:
        wait_for(slurm, ticket, JobPhase.RUNNING)
    wait_until(lambda: len(lines_of(tmp_path / "ran")) == 2 * NODES)

    slurm.cancel([tickets[0], tickets[-1]])
    ends = [wait_for(slurm, ticket, JobPhase.ENDED) for ticket in (tickets[0], tickets[-1])]
    (tmp_path / "go").touch()
    others = [wait_for(slurm, ticket, JobPhase.ENDED) for ticket in tickets[1:-1]]

    assert [end.ending for end in ends] == [Ending.CANCELLED, Ending.CANCELLED]
    assert {end.exit_code for end in others} == {0}
    assert len(lines_of(tmp_path / "ran")) == len(tickets) - 1


def test_one_is_withdrawn_and_the_others_go_on(slurm: SlurmExecutor, cluster: SlurmCluster, tmp_path: Path) -> None:
    closed(cluster)
    tickets = hand_over_together(slurm, *[f"echo ran >> {tmp_path / 'ran'}"] * 3)

    slurm.withdraw([tickets[1]])
    end = wait_for(slurm, tickets[1], JobPhase.ENDED)
    cluster.run("scontrol", "update", "PartitionName=debug", "State=UP")
    others = [wait_for(slurm, ticket, JobPhase.ENDED) for ticket in (tickets[0], tickets[2])]

    assert end.ending == Ending.WITHDRAWN
    assert [other.exit_code for other in others] == [0, 0]
    assert len(lines_of(tmp_path / "ran")) == 2


def test_jobs_that_were_handed_over_together_and_then_alone_run_once(
    slurm: SlurmExecutor, cluster: SlurmCluster, tmp_path: Path
) -> None:
    """As after a submission without an answer that arrived all the same."""
    closed(cluster)
    commands = [f"echo {number} >> {tmp_path / 'ran'}" for number in (1, 2)]
    hand_over_together(slurm, *commands)
    tickets = hand_over_together(slurm, *commands)
    again = Ticket(key=key(1), native_id=slurm.submit(Work(command=commands[0]), key(1)))
    cluster.run("scontrol", "update", "PartitionName=debug", "State=UP")

    ends = [wait_for(slurm, ticket, JobPhase.ENDED) for ticket in (again, tickets[1])]
    wait_until(lambda: not cluster.run("squeue", "--noheader", "--format=%i").split())

    assert [end.exit_code for end in ends] == [0, 0]
    assert sorted(lines_of(tmp_path / "ran")) == ["1", "2"]


def test_the_files_of_an_array_go_with_its_last_job(slurm: SlurmExecutor, site: Site) -> None:
    tickets = hand_over_together(slurm, "true", "true")
    for ticket in tickets:
        wait_for(slurm, ticket, JobPhase.ENDED)

    slurm.forget(tickets[0])
    between = {folder.name for folder in (site.folder / "jobs").iterdir()}
    SlurmExecutor(site).forget(tickets[1])

    assert len(between) == 2
    for place in ("jobs", "notes"):
        assert list((site.folder / place).iterdir()) == []


def test_what_slurm_does_not_take_leaves_nothing(site: Site, cluster: SlurmCluster) -> None:
    wrong = SlurmExecutor(Site(folder=site.folder, environment=site.environment, options=("--partition=nowhere",)))
    cluster.run("scontrol", "update", "PartitionName=debug", "State=DRAIN")

    with pytest.raises(WorkRefused, match="Invalid partition name"):
        hand_over_together(wrong, "true", "true")
    with pytest.raises(NotTaken, match="takes no jobs now"):
        hand_over_together(SlurmExecutor(site), "true", "true")
    cluster.run("scontrol", "update", "PartitionName=debug", "State=UP")

    assert not [name for name in (site.folder / "notes").iterdir() if "array" in name.name]


def test_a_batch_is_of_jobs_that_ask_the_same_and_of_bounded_size() -> None:
    works = {key(number): Work(command="true") for number in range(5)}
    works |= {key(number): Work(command="true", nodes=2) for number in range(5, 8)}
    works |= {key(8): Work(command="true", time_limit_seconds=60), key(9): Work(command="true", run_as="ann")}
    large = {key(number): Work(command="x" * (MOST_BYTES // 3)) for number in range(5)}
    equipped = {key(number): Work(command="true", environment={"A": "x" * (MOST_BYTES // 3)}) for number in range(5)}

    batches = list(batched_alike(works, most=4))

    assert batches == [[key(number) for number in range(4)], [key(number) for number in range(5, 8)]]
    assert [len(batch) for batch in batched_alike(large, most=100)] == [2, 2]
    assert [len(batch) for batch in batched_alike(equipped, most=100)] == [2, 2]
    assert list(batched_alike(works, most=0)) == []
