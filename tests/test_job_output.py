"""How much of a job's output is kept."""

import os
from pathlib import Path

import click
import pytest

from rainbow.executors.executor import Executor, JobPhase, Site, Ticket
from rainbow.executors.folders import folder_of
from rainbow.executors.table import EXECUTORS
from rainbow.runner.output import END_BYTES, Output, Pump
from rainbow.terminal.types import Size
from tests.support.executors import hand_over, wait_for, wait_until

KEY = "rainbow-1-1"
LIMIT = 64 * 1024
NOTE = b"\nrainbow: the output is longer than 64 KiB; only its end follows\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return Site(folder=tmp_path / "state", environment=environment, slots=4, kept_output_bytes=LIMIT)


@pytest.fixture
def local(site: Site) -> Executor:
    return EXECUTORS["local"].make(site)


@pytest.fixture
def output(site: Site) -> Path:
    return folder_of(site.folder, KEY).output


def test_of_an_output_over_the_limit_the_beginning_and_the_end_are_kept(local: Executor, output: Path) -> None:
    ticket = hand_over(local, KEY, "echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last")

    seen = wait_for(local, ticket, JobPhase.ENDED)

    content = output.read_bytes()
    assert seen.exit_code == 0
    assert content.startswith(b"first\nxxx")
    assert content[LIMIT:].startswith(NOTE + b"xxx")
    assert content.endswith(b"x\nlast\n")
    assert len(content) == LIMIT + len(NOTE) + END_BYTES
    assert local.output(ticket).endswith("x\nlast\n")


def test_while_a_job_writes_on_the_note_is_there(local: Executor, output: Path) -> None:
    ticket = hand_over(local, KEY, "yes")

    wait_until(lambda: output.exists() and output.stat().st_size > LIMIT)

    assert local.output(ticket).endswith(NOTE.decode())
    assert output.stat().st_size == LIMIT + len(NOTE)
    local.cancel([ticket])
    wait_for(local, ticket, JobPhase.ENDED)
    assert local.output(ticket).endswith("\ny\n")


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
def test_an_output_up_to_the_limit_is_kept_as_it_is(local: Executor, output: Path, size: int) -> None:
    ticket = hand_over(local, KEY, f"head -c {size} /dev/zero")

    wait_for(local, ticket, JobPhase.ENDED)

    assert output.read_bytes() == bytes(size)


def test_outputs_that_a_scheduler_writes_are_cut_while_they_grow(site: Site, output: Path) -> None:
    folder = folder_of(site.folder, KEY)
    folder.make()
    with output.open("ab", buffering=0) as scheduler:
        for _ in range(3):
            scheduler.write(b"x" * 1_000_000 + b"\nnow\n")

            folder.cut_output(LIMIT)
            scheduler.write(b"then\n")

            content = output.read_bytes()
            assert content[LIMIT:].startswith(NOTE)
            assert content.endswith(b"x\nnow\nthen\n")
            assert len(content) == LIMIT + len(NOTE) + END_BYTES + len(b"then\n")


@pytest.mark.parametrize("name", ["slurm", "flux"])
def test_the_executors_of_schedulers_cut_them(site: Site, output: Path, name: str) -> None:
    executor = EXECUTORS[name].make(site)
    folder_of(site.folder, KEY).make()
    output.write_bytes(bytes(10 * LIMIT))

    executor.tidy([])
    assert output.stat().st_size == 10 * LIMIT
    executor.tidy([Ticket(key=KEY, native_id="7")])

    assert output.stat().st_size == LIMIT + len(NOTE) + END_BYTES


@pytest.mark.parametrize(("text", "size"), [("65536", 65536), ("64k", 65536), ("64KiB", 65536), ("1.5G", 3 * 2**29)])
def test_a_size_is_written_as_people_do(text: str, size: int) -> None:
    assert Size(lowest=0, highest=2**50).convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1e3", "1 G", "63K", "1025T", "9" * 30])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size(lowest=64 * 1024, highest=2**50).convert(text, None, None)


def test_what_a_job_writes_is_kept_after_it_read_some_of_it_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By /dev/stdout, in the moment after the pump saw that something is there."""
    folder = os.open(tmp_path, os.O_RDONLY)
    pump = Pump([Output(folder, most_bytes=LIMIT)])
    job = os.dup(pump.entrances[0])
    read, stolen = os.read, list[bytes]()

    def too_late(file: int, size: int) -> bytes:
        if not stolen:
            stolen.append(read(file, size))
        return read(file, size)

    monkeypatch.setattr("rainbow.runner.output.os.read", too_late)
    pump.start()
    os.write(job, b"lost")
    wait_until(lambda: stolen)
    os.write(job, b"kept\n" * 20)
    pump.stop()

    assert stolen == [b"lost"]
    assert (tmp_path / "output").read_bytes() == b"kept\n" * 20
