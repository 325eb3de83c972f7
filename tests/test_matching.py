"""Which demands fit which facts: a table by hand, and random cases."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.facts import Facts, Partition
from clusters.matching import Demand, _nearest, _unmet_needs, fits, miss

TABLE = Path(__file__).with_name("support") / "matching.txt"
NO_GPUS = {"": 0}
CLUSTERS = {
    "silent": Facts(),
    "plain": Facts(
        partitions=(
            Partition(
                name="batch",
                nodes=8,
                cores_per_node=32,
                memory_mib_per_node=128_000,
                gpus_per_node=NO_GPUS,
                longest_seconds=86_400,
                default=True,
            ),
        ),
    ),
    "two": Facts(
        partitions=(
            Partition(
                name="cpu",
                nodes=16,
                cores_per_node=64,
                memory_mib_per_node=256_000,
                gpus_per_node=NO_GPUS,
                default=True,
            ),
            Partition(
                name="gpu",
                nodes=4,
                cores_per_node=48,
                memory_mib_per_node=512_000,
                gpus_per_node={"a100": 4},
                longest_seconds=43_200,
            ),
        ),
    ),
    "mixed": Facts(
        partitions=tuple(
            Partition(
                name="all",
                nodes=nodes,
                cores_per_node=cores,
                memory_mib_per_node=memory,
                gpus_per_node=gpus,
                longest_seconds=604_800,
                features=features,
            )
            for nodes, cores, memory, gpus, features in [
                (10, 16, 64_000, NO_GPUS, ("ib",)),
                (4, 32, 128_000, NO_GPUS, ("ib", "avx512")),
                (2, 32, 512_000, {"v100": 2}, ()),
            ]
        ),
    ),
    "short": Facts(
        partitions=(
            Partition(name="debug", nodes=100, max_nodes=2, longest_seconds=600),
            Partition(name="long", nodes=4, max_nodes=8),
        ),
    ),
    "vague": Facts(partitions=(Partition(name="any", nodes=4), Partition(name="dark"))),
    "untyped": Facts(partitions=(Partition(name="gpu", nodes=2, gpus_per_node={"": 8}, longest_seconds=3_600),)),
    "kinds": Facts(partitions=(Partition(name="gpu", nodes=3, gpus_per_node={"a100": 2, "v100": 6}),)),
    "site": Facts(
        values={
            "site": "geneva",
            "data": ("imagenet", "coco"),
            "software": ("gromacs-2026", "a=b"),
            "licenses": 0,
            "price": 2.5,
            "racks": 12,
            "balance": -3,
            "public": "false",
            "owner": "",
            "queues": (),
        },
    ),
    "said": Facts(
        values={
            "nodes": 100,
            "gpu_type": ("h200",),
            "arch": "x86_64",
            "scheduler": "slurm",
            "scheduler_version": "22.05.8",
        },
        partitions=(Partition(name="batch", nodes=4, cores_per_node=8, gpus_per_node=NO_GPUS),),
    ),
}
FIELDS = {
    "n": "nodes",
    "t": "tasks",
    "c": "cores_per_task",
    "g": "gpus_per_task",
    "type": "gpu_type",
    "mem": "memory_mib_per_node",
    "time": "time_limit_seconds",
    "part": "partition",
}
ROWS = [
    tuple(part.strip() for part in line.split("|"))
    for line in TABLE.read_text().splitlines()
    if line and not line.startswith("#")
]


def demand_of(words: str) -> Demand:
    said: dict[str, Any] = {"needs": []}
    for word in words.split():
        name, _, value = word.partition("=")
        if name == "need":
            said["needs"].append(value)
        else:
            said[FIELDS[name]] = int(value) if value.isdecimal() else value
    return Demand(**said)


@pytest.mark.parametrize(("cluster", "words", "expected"), ROWS)
def test_table(cluster: str, words: str, expected: str) -> None:
    found = miss(demand_of(words), CLUSTERS[cluster])

    assert (str(found) if found else "fits") == expected


def test_the_table_has_many_distinct_cases() -> None:
    assert len({(cluster, words) for cluster, words, _ in ROWS}) == len(ROWS) >= 200
    assert {cluster for cluster, *_ in ROWS} == set(CLUSTERS)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("n=9 t=288", ["nodes"]),
        ("t=33", ["tasks"]),
        ("t=2 c=17", ["cores_per_task"]),
        ("g=1", ["gpus_per_task"]),
        ("mem=128001", ["memory_mib_per_node"]),
        ("time=86401", ["time_limit_seconds"]),
        ("part=debug", ["partition"]),
        ("n=9 need=gpus", ["needs"]),
    ],
)
def test_a_miss_names_the_field_of_the_job(words: str, fields: list[str]) -> None:
    found = miss(demand_of(words), CLUSTERS["plain"])

    assert found and [found.field] == fields


def test_the_nearest_cluster_has_the_least_distance() -> None:
    def distance(words: str, cluster: str) -> float:
        found = miss(demand_of(words), CLUSTERS[cluster])
        return found.distance if found else 0.0

    # 4 of 8, 2 of 8, none, and no such fact.
    assert [distance("g=8", name) for name in ("two", "mixed", "plain")] == [0.5, 0.75, 1.0]
    assert distance("need=gpus_per_node>=8", "two") == 0.5
    assert distance("need=gpus_per_node>=8", "silent") == 1.0
    # Another value is nearer than none.
    assert distance("need=site=paris", "site") < distance("need=site=paris", "plain")
    # A cluster that lacks one thing comes before one that lacks two.
    assert distance("n=17 g=8", "two") > distance("g=8", "plain")


def test_a_set_with_many_members_is_cut() -> None:
    facts = Facts(values={"data": tuple(f"set{number}" for number in range(9))})

    found = miss(Demand(needs=["data=mnist"]), facts)

    assert str(found) == "needs data=mnist; it has set0, set1, set2, set3, set4 and 4 more"


def test_values_are_what_the_cluster_says_and_what_follows_from_its_partitions() -> None:
    assert CLUSTERS["mixed"].known == {
        "nodes": 16,
        "cores": 352,
        "cores_per_node": 32,
        "memory_mib_per_node": 512_000,
        "gpus": 4,
        "gpus_per_node": 2,
        "gpu_type": ("v100",),
        "partition": ("all",),
        "feature": ("ib", "avx512"),
    }
    assert Facts().known == {}


def test_the_longest_facts_cost_little() -> None:
    gpus = {f"type{number}": 1 for number in range(32)}
    facts = Facts(partitions=tuple(Partition(name=f"p{number}", nodes=4, gpus_per_node=gpus) for number in range(256)))
    began = time.process_time()

    assert not any(fits(Demand(gpus_per_task=33, nodes=number), facts) for number in range(1, 2_001))

    assert time.process_time() - began < 10  # with a miss made of each it takes a minute


SMALL = st.integers(0, 6)
KINDS = st.sampled_from(["", "a", "b"])
PARTITIONS = st.builds(
    Partition,
    name=st.sampled_from(["p", "q"]),
    nodes=SMALL,
    cores_per_node=SMALL,
    memory_mib_per_node=SMALL,
    gpus_per_node=st.dictionaries(KINDS, SMALL, max_size=2),
    longest_seconds=SMALL,
    max_nodes=SMALL,
)
VALUES = st.dictionaries(st.sampled_from(["x", "nodes"]), st.one_of(SMALL, st.just("a"), st.just(("a", "b"))))
FACTS = st.builds(Facts, values=VALUES, partitions=st.lists(PARTITIONS, max_size=4).map(tuple))
NEEDS = st.lists(
    st.one_of(
        st.sampled_from(["x", "!x", "x=a", "gpus", "!gpus", "gpu_type=a", "partition=p"]),
        st.builds("{}>={}".format, st.sampled_from(["x", "nodes", "cores", "gpus"]), SMALL),
    ),
    max_size=2,
)


@st.composite
def demand_pairs(draw: st.DrawFn) -> tuple[Demand, Demand]:
    """A demand, and one with numbers that are no larger."""
    nodes, tasks_per_node = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    sizes = {name: draw(SMALL) for name in ("cores_per_task", "gpus_per_task", "memory_mib_per_node")}
    limit = draw(SMALL)
    rest = {"gpu_type": draw(KINDS), "partition": draw(st.sampled_from(["", "p", "p,q", "r"])), "needs": draw(NEEDS)}
    larger = Demand(nodes=nodes, tasks=nodes * tasks_per_node, time_limit_seconds=limit, **sizes, **rest)
    fewer, per_node = draw(st.integers(1, nodes)), draw(st.integers(1, tasks_per_node))
    smaller = {name: draw(st.integers(0, most)) for name, most in sizes.items()}
    return larger, replace(
        larger, nodes=fewer, tasks=fewer * per_node, time_limit_seconds=draw(st.integers(0, limit)), **smaller
    )


@given(facts=FACTS, pair=demand_pairs())
def test_what_fits_still_fits_when_its_numbers_get_smaller(facts: Facts, pair: tuple[Demand, Demand]) -> None:
    larger, smaller = pair

    assert miss(larger, facts) or not miss(smaller, facts)


@given(pair=demand_pairs())
def test_a_cluster_that_tells_nothing_fits_what_has_no_needs(pair: tuple[Demand, Demand]) -> None:
    demand, _ = pair

    assert not miss(replace(demand, needs=()), Facts())


@given(facts=FACTS, pair=demand_pairs())
def test_what_misses_nothing_fits_and_what_misses_something_does_not(facts: Facts, pair: tuple[Demand, Demand]) -> None:
    demand, _ = pair
    lacking = [*_unmet_needs(demand.needs, facts), *_nearest(demand, facts)]

    assert fits(demand, facts) == (not lacking)


@given(facts=FACTS, pair=demand_pairs())
def test_a_miss_is_at_a_distance(facts: Facts, pair: tuple[Demand, Demand]) -> None:
    found = miss(pair[0], facts)

    assert not found or found.distance > 0
