"""Jobs that Flux's bindings are given together by one connection."""

from pathlib import Path

import pytest

from rainbow.executors.executor import Executor, JobPhase, NotTaken, Ticket, WorkRefused
from rainbow.specs import Work
from tests.support.executors import lines_of, wait_for
from tests.support.flux_cast import CAST, Place, executor_of

BINDINGS = [param for param in CAST if "bindings" in param.values[0]]
pytestmark = pytest.mark.parametrize("place", BINDINGS, indirect=True)


def key(number: int) -> str:
    return f"rainbow-{number}-1"


def test_each_job_has_its_own_command_and_end(flux: Executor, tmp_path: Path) -> None:
    works = {key(number): Work(command=f"echo {number} >> {tmp_path / 'ran'}; exit {number}") for number in range(3)}
    assert flux.batches(works) == [list(works)]

    native_ids = flux.submit_together(works)
    tickets = [Ticket(key=name, native_id=native_ids[name]) for name in works]

    assert [wait_for(flux, ticket, JobPhase.ENDED).exit_code for ticket in tickets] == [0, 1, 2]
    assert sorted(lines_of(tmp_path / "ran")) == ["0", "1", "2"]


def test_what_flux_refuses_of_a_batch_keeps_back_no_other(flux: Executor, place: Place, tmp_path: Path) -> None:
    works = {
        key(1): Work(command=f"echo 1 >> {tmp_path / 'ran'}"),
        key(2): Work(command=f"echo 2 >> {tmp_path / 'ran'}", partition="none"),
        key(3): Work(command=f"echo 3 >> {tmp_path / 'ran'}"),
    }

    native_ids = flux.submit_together(works)

    assert list(native_ids) == [key(1), key(3)]
    for name, native_id in native_ids.items():
        wait_for(flux, Ticket(key=name, native_id=native_id), JobPhase.ENDED)
    assert executor_of(place.instance, place.site, way=place.way).find(list(works)) == native_ids
    assert sorted(lines_of(tmp_path / "ran")) == ["1", "3"]


def test_a_batch_of_which_flux_takes_none_is_refused(flux: Executor) -> None:
    works = {key(number): Work(command="true", partition="none") for number in (1, 2)}

    with pytest.raises(WorkRefused, match="none"):
        flux.submit_together(works)

    assert flux.find(list(works)) == {}


def test_a_queue_that_takes_no_jobs_takes_none_of_a_batch(flux: Executor, place: Place) -> None:
    place.instance.disable("maintenance")
    works = {key(1): Work(command="true"), key(2): Work(command="true")}

    with pytest.raises(NotTaken, match="takes no jobs now"):
        flux.submit_together(works)
    place.instance.recover()

    assert flux.find(list(works)) == {}


def test_a_batch_is_bounded(flux: Executor) -> None:
    works = {key(number): Work(command="true") for number in range(201)}

    assert [len(batch) for batch in flux.batches(works)] == [100, 100]
