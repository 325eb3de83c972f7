"""What a job asks for, as each scheduler is asked for it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors.executor import Site, WorkRefused
from rainbow.executors.flux_resources import resources as flux_resources
from rainbow.executors.slurm import SlurmExecutor
from rainbow.executors.slurm_request import resources as slurm_resources
from rainbow.executors.table import EXECUTORS
from rainbow.specs import Work

ALL: dict[str, Any] = {
    "nodes": 2,
    "tasks": 8,
    "cores_per_task": 4,
    "gpus_per_task": 1,
    "gpu_type": "a100",
    "memory_mib_per_node": 65536,
    "exclusive": True,
    "account": "physics",
    "partition": "gpu",
    "qos": "high",
    "reservation": "friday",
    "constraint": "ib&rack1",
    "time_limit_seconds": 61,
}
# No value of these may become an option of its own, be split, or be read by a shell.
HOSTILE = ["--wrap=id", "-D/", "a b", "$(id)", "`id`", "a;b", "'\"", "é", "%x"]
TEXTS = ("account", "partition", "qos", "reservation", "constraint", "gpu_type")


def work(**more: Any) -> Work:
    return Work(**{"command": "true", **more})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        ({"cores_per_task": 4}, ["--cpus-per-task=4"]),
        ({"gpus_per_task": 2}, ["--gpus-per-task=2"]),
        ({"gpus_per_task": 2, "gpu_type": "a100"}, ["--gpus-per-task=a100:2"]),
        ({"memory_mib_per_node": 65536}, ["--mem=65536M"]),
        ({"time_limit_seconds": 60}, ["--time=1"]),
        ({"time_limit_seconds": 61}, ["--time=2"]),
        ({"account": "physics"}, ["--account=physics"]),
        ({"partition": "gpu,debug"}, ["--partition=gpu,debug"]),
        ({"qos": "high"}, ["--qos=high"]),
        ({"reservation": "friday"}, ["--reservation=friday"]),
        ({"constraint": "[rack1*2&rack2*4]"}, ["--constraint=[rack1*2&rack2*4]"]),
        ({"exclusive": True}, ["--exclusive"]),
    ],
)
def test_each_field_is_one_word_for_sbatch(asked: dict[str, Any], words: list[str]) -> None:
    assert slurm_resources(work(**asked)) == ["--nodes=1", "--ntasks=1", *words]


def test_all_fields_together_for_sbatch() -> None:
    assert slurm_resources(work(**ALL)) == [
        "--nodes=2",
        "--ntasks=8",
        "--cpus-per-task=4",
        "--gpus-per-task=a100:1",
        "--mem=65536M",
        "--time=2",
        "--account=physics",
        "--partition=gpu",
        "--qos=high",
        "--reservation=friday",
        "--constraint=ib&rack1",
        "--exclusive",
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        ({"cores_per_task": 4}, ["--cores-per-task=4"]),
        ({"gpus_per_task": 2}, ["--gpus-per-task=2"]),
        ({"time_limit_seconds": 61}, ["--time-limit=61s"]),
        ({"account": "physics"}, ["--bank=physics"]),
        ({"partition": "batch"}, ["--queue=batch"]),
        ({"constraint": "gpu -host:n1"}, ["--requires=gpu -host:n1"]),
        ({"exclusive": True}, ["--exclusive"]),
    ],
)
def test_each_field_is_one_word_for_flux(asked: dict[str, Any], words: list[str]) -> None:
    assert flux_resources(work(**asked)) == ["--nodes=1", "--ntasks=1", *words]


def test_all_fields_together_for_flux() -> None:
    missing = ("gpu_type", "memory_mib_per_node", "qos", "reservation")
    asked = {name: value for name, value in ALL.items() if name not in missing}

    assert flux_resources(work(**asked)) == [
        "--nodes=2",
        "--ntasks=8",
        "--cores-per-task=4",
        "--gpus-per-task=1",
        "--time-limit=61s",
        "--queue=gpu",
        "--bank=physics",
        "--requires=ib&rack1",
        "--exclusive",
    ]


@pytest.mark.parametrize("resources", [slurm_resources, flux_resources], ids=["slurm", "flux"])
def test_tasks_that_were_not_said_are_one_for_each_node(resources: Any) -> None:
    words = resources(work(nodes=3, cores_per_task=2, gpus_per_task=1))

    assert words == ["--nodes=3", "--ntasks=3", words[2], "--gpus-per-task=1"]


@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_becomes_an_option_of_sbatch(value: str, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/words; echo 7\n")
    (tmp_path / "sbatch").chmod(0o700)
    slurm = SlurmExecutor(Site(folder=tmp_path / "state", environment={"PATH": f"{tmp_path}:/usr/bin:/bin"}))
    usual = work(gpus_per_task=1, **dict.fromkeys(TEXTS, "usual"))

    slurm.submit(usual, "rainbow-1-1")
    expected = [word.replace("usual", value) for word in (tmp_path / "words").read_text().splitlines()]
    slurm.submit(replace(usual, **dict.fromkeys(TEXTS, value)), "rainbow-1-1")

    assert (tmp_path / "words").read_text().splitlines() == expected


def executor(name: str, folder: Path, **more: Any) -> Any:
    return EXECUTORS[name].make(Site(folder=folder / "state", environment={"PATH": str(folder)}, **more))


@pytest.mark.parametrize("field", ["gpu_type", "memory_mib_per_node", "qos", "reservation"])
def test_flux_refuses_what_it_cannot_give_and_names_the_field(field: str, tmp_path: Path) -> None:
    flux = executor("flux", tmp_path)
    asked = work(gpus_per_task=1, **{field: ALL[field]})

    assert flux.never(asked).startswith(f"{field}: ")
    with pytest.raises(WorkRefused, match=f"^{field}: "):
        flux.submit(asked, "rainbow-1-1")


@pytest.mark.parametrize(
    "field", [*sorted(set(TEXTS) - {"gpu_type"}), "gpus_per_task", "memory_mib_per_node", "exclusive"]
)
def test_this_machine_refuses_what_it_cannot_give_and_names_the_field(field: str, tmp_path: Path) -> None:
    local = executor("local", tmp_path)
    asked = work(**{field: ALL[field]})

    assert local.never(asked).startswith(f"{field}: ")
    with pytest.raises(WorkRefused, match=f"^{field}: "):
        local.submit(asked, "rainbow-1-1")


def test_cores_are_slots_of_this_machine(tmp_path: Path) -> None:
    local = executor("local", tmp_path, slots=8)

    assert local.slots(work(tasks=2, cores_per_task=3)) == 6
    assert local.never(work(tasks=2, cores_per_task=4)) == ""
    assert local.never(work(tasks=2, cores_per_task=5)) == "cores_per_task: needs 10 slots, and this machine has 8"
    assert local.never(work(tasks=9)) == "needs 9 slots, and this machine has 8"


def test_this_machine_is_a_partition_by_the_name_that_it_tells(tmp_path: Path) -> None:
    local = executor("local", tmp_path)
    (told,) = local.facts().partitions

    assert local.never(work(partition=told.name)) == ""


@pytest.mark.parametrize("name", ["slurm", "flux"])
def test_cores_are_slots_of_a_scheduler(name: str, tmp_path: Path) -> None:
    scheduler = executor(name, tmp_path)

    assert scheduler.slots(work(nodes=2, cores_per_task=4)) == 8
    assert scheduler.slots(work(nodes=2, tasks=6, cores_per_task=4)) == 24
    assert scheduler.never(work(nodes=2, tasks=6, cores_per_task=4)) == ""
