"""What the executors make of what their schedulers say of themselves."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from rainbow.executors.executor import SchedulerSilent, Site
from rainbow.executors.flux_facts import FluxResources
from rainbow.executors.flux_facts import partitions as of_flux
from rainbow.executors.local import LocalExecutor
from rainbow.executors.slurm import SlurmExecutor
from rainbow.executors.slurm_facts import architectures, partitions, some_nodes
from rainbow.facts import Facts, Partition
from tests.support import schedulers
from tests.support.schedulers import needs_slurm
from tests.support.slurm_cluster import GPU_TYPE, NODE_GPUS, NODES, SlurmCluster

slurm_cluster = schedulers.slurm_cluster

# As Slurm 22.05 told of three nodes, two of them with GPUs.
SINFO = """\
debug*|1:00:00|1-2|2|4|2000|gpu:a100:2|ib,avx512|n[0-1]
debug*|1:00:00|1-2|1|8|4000|(null)|(null)|n2
long|1-12:00:00|1-infinite|1|8|4000|(null)|(null)|n2
all|infinite|1-infinite|1|4|2000|gpu:a100:2|ib,avx512|n0
empty|infinite|1-infinite|0|0|0|(null)||
"""


def row(*, name: str = "p", longest: str = "infinite", sizes: str = "1-infinite", cpus: str = "4", generic: str) -> str:
    return f"{name}|{longest}|{sizes}|1|{cpus}|1000|{generic}|(null)|n0"


def the(text: str) -> Partition:
    (partition,) = partitions(text)
    return partition


# Slurm


def test_partitions_of_slurm_with_unequal_nodes_apart() -> None:
    gpus, none = {"a100": 2}, {"": 0}
    debug: dict[str, Any] = {"name": "debug", "longest_seconds": 3600, "max_nodes": 2, "default": True}
    plain: dict[str, Any] = {"cores_per_node": 8, "memory_mib_per_node": 4000, "gpus_per_node": none, "nodes": 1}
    fast: dict[str, Any] = {"cores_per_node": 4, "memory_mib_per_node": 2000, "gpus_per_node": gpus}
    features = ("ib", "avx512")

    assert partitions(SINFO) == [
        Partition(**debug, **fast, nodes=2, features=features),
        Partition(**debug, **plain),
        Partition(name="long", **plain, longest_seconds=36 * 3600),
        Partition(name="all", **fast, nodes=1, features=features),
    ]
    defaults = [
        {one.name for one in partitions(SINFO, chosen=chosen) if one.default} for chosen in ("long", "all,long")
    ]
    assert defaults == [{"long"}, {"all", "long"}]


@pytest.mark.parametrize(
    ("generic", "gpus"),
    [
        ("(null)", {"": 0}),
        ("", {"": 0}),
        ("gpu:4", {"": 4}),
        ("gpu", {"": 1}),
        ("gpu:a100", {"a100": 1}),
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:2(S:0,1),shard:8", {"": 2}),
        ("gpu:a100:2(IDX:0,1),gpu:v100:1,gpu:a100:1", {"a100": 3, "v100": 1}),
        ("gpu:nvidia_a100-sxm4-80gb:8", {"nvidia_a100-sxm4-80gb": 8}),
        ("mps:400,craynetwork:4", {"": 0}),
        ("gpu:99999999999999999999", {"": 0}),
    ],
)
def test_gpus_of_slurm(generic: str, gpus: dict[str, int]) -> None:
    assert the(row(generic=generic)).gpus_per_node == gpus


@pytest.mark.parametrize(
    ("longest", "seconds"),
    [
        ("infinite", 0),
        ("n/a", 0),
        ("30:00", 1800),
        ("0:30", 30),
        ("1:00:00", 3600),
        ("1-00:00:00", 86_400),
        ("365-00:00:01", 365 * 86_400 + 1),
        ("soon", 0),
    ],
)
def test_longest_times_of_slurm(longest: str, seconds: int) -> None:
    assert the(row(longest=longest, generic="")).longest_seconds == seconds


@pytest.mark.parametrize(("sizes", "most"), [("1-infinite", 0), ("1-4", 4), ("2-2", 2), ("1", 1), ("no", 0), ("", 0)])
def test_most_nodes_of_slurm(sizes: str, most: int) -> None:
    assert the(row(sizes=sizes, generic="")).max_nodes == most


def test_cpus_that_differ_count_as_the_fewest() -> None:
    assert the(row(cpus="16+", generic="")).cores_per_node == 16


@pytest.mark.parametrize("text", ["debug", "a|b|c|many|4|2|(null)|(null)|n0", "a|b|c|1|4|2|x|y"])
def test_what_is_no_partition_is_no_answer(text: str) -> None:
    with pytest.raises(SchedulerSilent):
        partitions(text)


def test_one_node_of_each_kind_is_asked_for() -> None:
    assert some_nodes(SINFO) == ["n0", "n2"]
    assert some_nodes("x|rack[2-3]n[07-09],login\nx|a,b\nx|") == ["rack2n07", "a"]
    assert len(some_nodes("\n".join(f"x|n{number}" for number in range(100)))) == 32


def test_architectures_of_slurm() -> None:
    assert architectures("NodeName=n0 Arch=x86_64 CoresPerSocket=1\nNodeName=n1 Arch=aarch64\n") == (
        "x86_64",
        "aarch64",
    )


@needs_slurm
def test_a_real_slurm(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    site = Site(folder=tmp_path, environment=slurm_cluster.environment)

    facts = SlurmExecutor(site).facts()

    debug = [one for one in facts.partitions if one.name == "debug"]
    assert sum(one.nodes for one in debug) == NODES
    assert {(one.cores_per_node, one.memory_mib_per_node, one.longest_seconds) for one in debug} == {(2, 1000, 3600)}
    assert all(one.default and one.gpus_per_node == {GPU_TYPE: NODE_GPUS} for one in debug)
    assert {feature for one in debug for feature in one.features} == {"local", "first"}
    assert facts.values["arch"] == platform.machine()
    assert str(facts.values["scheduler_version"]) in slurm_cluster.run("scontrol", "version")


@needs_slurm
def test_of_a_real_slurm_the_partition_that_the_site_chose_is_the_default(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    environment = slurm_cluster.environment

    chosen = [
        SlurmExecutor(Site(folder=tmp_path, environment=environment, options=(option,))).facts().partitions
        for option in ("--partition=debug", "--partition=missing")
    ]

    assert {one.name for one in chosen[0] if one.default} == {"debug"}
    assert chosen[1] and not [one for one in chosen[1] if one.default]


# Flux

# As Flux 0.88 described two queues.
RESOURCES = """{"version": 1, "execution": {"R_lite": [{"rank": "0-3", "children": {"core": "0-7", "gpu": "0-1"}},
 {"rank": "4-5", "children": {"core": "0-3"}}], "starttime": 0.0, "expiration": 0.0, "nodelist": ["fake[0-5]"],
 "properties": {"batch": "0-3", "bigmem": "4-5", "debug": "4-5"}}}"""
CONFIGURATION = """{"queues": {"batch": {"requires": ["batch"], "policy": {"limits": {"duration": "4h"}}},
 "debug": {"requires": ["debug"], "policy": {"limits": {"duration": "30m"}}}},
 "policy": {"jobspec": {"defaults": {"system": {"queue": "batch"}}}}}"""


def flux(described: str = RESOURCES, configuration: str = CONFIGURATION) -> FluxResources:
    return FluxResources(described=json.loads(described), configuration=json.loads(configuration), version="0.88.0")


def test_queues_of_flux_are_partitions() -> None:
    batch = Partition(
        name="batch",
        nodes=4,
        cores_per_node=8,
        gpus_per_node={"": 2},
        longest_seconds=4 * 3600,
        default=True,
        features=("batch",),
    )
    debug = Partition(
        name="debug",
        nodes=2,
        cores_per_node=4,
        gpus_per_node={"": 0},
        longest_seconds=1800,
        features=("bigmem", "debug"),
    )

    assert of_flux(flux(), chosen="") == [batch, debug]
    assert [one.name for one in of_flux(flux(), chosen="debug") if one.default] == ["debug"]
    assert not [one for one in of_flux(flux(), chosen="missing") if one.default]


def test_a_flux_without_queues_is_one_partition() -> None:
    found = of_flux(flux(configuration="{}"), chosen="")

    assert [(one.name, one.nodes, one.default) for one in found] == [("default", 4, True), ("default", 2, True)]


@pytest.mark.parametrize(
    ("limits", "seconds", "most"),
    [
        ("{}", 0, 0),
        ('{"duration": "inf"}', 0, 0),
        ('{"duration": 90}', 90, 0),
        ('{"duration": "1.5d"}', 129_600, 0),
        ('{"duration": "500ms"}', 0, 0),
        ('{"job-size": {"max": {"nnodes": 3}}}', 0, 3),
        ('{"job-size": {"max": {"nnodes": -1}}}', 0, 0),
    ],
)
def test_limits_of_flux(limits: str, seconds: int, most: int) -> None:
    for_all = f'{{"policy": {{"limits": {limits}}}}}'

    for one in of_flux(flux(configuration=for_all), chosen=""):
        assert (one.longest_seconds, one.max_nodes) == (seconds, most)


@pytest.mark.parametrize(
    "described",
    [
        "{}",
        '{"execution": {}}',
        '{"execution": {"R_lite": [{"rank": "x", "children": {}}]}}',
        '{"execution": {"R_lite": [{"rank": "0-999999999", "children": {}}]}}',
        '{"execution": {"R_lite": [{"rank": "0", "children": []}]}}',
        '{"execution": {"R_lite": [{"rank": 0, "children": {}}]}}',
    ],
)
def test_what_is_no_description_is_no_answer(described: str) -> None:
    with pytest.raises(SchedulerSilent):
        of_flux(flux(described), chosen="")


# This machine


def test_this_machine(tmp_path: Path) -> None:
    facts = LocalExecutor(Site(folder=tmp_path, environment={}, slots=3)).facts()

    (machine,) = facts.partitions
    assert (machine.cores_per_node, machine.max_nodes, machine.gpus_per_node) == (3, 3, {"": 0})
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 <= memory - machine.memory_mib_per_node * 1024**2 < 1024**2
    assert facts.values == {"scheduler": "local", "arch": platform.machine(), "cores": 3}
    assert facts != Facts()
