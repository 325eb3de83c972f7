"""Facts: what they say as JSON, what is read back, and what is refused."""

import json
from typing import Any

import pytest

from clusters.facts import Facts, Partition, check_facts
from rainbow.errors import InvalidArgument

FULL = Facts(
    values={"site": "geneva", "racks": 12, "price": 2.5, "data": ("imagenet", "coco")},
    partitions=(
        Partition(
            name="gpu",
            nodes=4,
            cores_per_node=48,
            memory_mib_per_node=512_000,
            gpus_per_node={"a100": 4, "": 0},
            longest_seconds=43_200,
            max_nodes=3,
            default=True,
            features=("ib",),
        ),
        Partition(name="dark"),
    ),
)


def test_what_is_written_is_read_back() -> None:
    assert Facts.read(json.loads(json.dumps(FULL.said()))) == FULL
    assert Facts.read({}) == Facts()
    assert Facts().said() == {}


def test_only_what_is_told_is_written() -> None:
    assert Facts(partitions=(Partition(name="dark"),)).said() == {"partitions": [{"name": "dark"}]}


def test_what_another_release_wrote_is_left_out() -> None:
    said = {
        "values": {"site": "lyon", "nested": {"a": 1}, "flag": True, "none": None, "mixed": ["a", 1]},
        "partitions": [
            {"name": "p", "nodes": "4", "cores_per_node": -1, "gpus_per_node": [], "features": "ib", "later": 1},
            {"nodes": 4},
            "p",
        ],
        "later": 1,
    }

    read = Facts.read(said)

    assert read == Facts(values={"site": "lyon", "mixed": ("a",)}, partitions=(Partition(name="p"),))
    assert Facts.read({"values": [], "partitions": {}}) == Facts()


def test_facts_that_say_nothing_are_false() -> None:
    assert not Facts()
    assert Facts(values={"site": "lyon"}) and Facts(partitions=(Partition(name="p"),))


def valued(value: Any) -> Facts:
    return Facts(values={"x": value})


def placed(**said: Any) -> Facts:
    return Facts(partitions=(Partition(name="p"), Partition(**{"name": "q", **said})))


@pytest.mark.parametrize(
    "facts",
    [
        FULL,
        Facts(),
        Facts(values={f"x{number}": number for number in range(256)}),
        Facts(values={"n" * 63: "v" * 255}),
        valued(2**53),
        valued(-(2**53)),
        valued(""),
        valued(()),
        Facts(partitions=tuple(Partition(name=f"p{number}") for number in range(256))),
        placed(nodes=2**31 - 1, gpus_per_node={str(number): 1 for number in range(32)}),
    ],
)
def test_facts_within_the_bounds(facts: Facts) -> None:
    check_facts(facts)


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        (Facts(values={f"x{number}": number for number in range(257)}), "facts.values"),
        (Facts(values={"": 1}), "facts.values"),
        (Facts(values={"1x": 1}), "facts.values"),
        (Facts(values={"n" * 64: 1}), "facts.values"),
        (Facts(values={"a b": 1}), "facts.values"),
        (valued("v" * 256), "facts.values.x"),
        (valued("a\nb"), "facts.values.x"),
        (valued("\ud800"), "facts.values.x"),
        (valued(("a", "")), "facts.values.x"),
        (valued(("a\0",)), "facts.values.x"),
        (valued(tuple(map(str, range(1025)))), "facts.values.x"),
        (valued(float("nan")), "facts.values.x"),
        (valued(float("inf")), "facts.values.x"),
        (valued(2**53 + 1), "facts.values.x"),
        (valued(10**400), "facts.values.x"),
        (Facts(partitions=tuple(Partition(name=f"p{number}") for number in range(257))), "facts.partitions"),
        (placed(name=""), "facts.partitions.1.name"),
        (placed(name="q" * 256), "facts.partitions.1.name"),
        (placed(nodes=-1), "facts.partitions.1.nodes"),
        (placed(cores_per_node=2**31), "facts.partitions.1.cores_per_node"),
        (placed(memory_mib_per_node=-1), "facts.partitions.1.memory_mib_per_node"),
        (placed(longest_seconds=-1), "facts.partitions.1.longest_seconds"),
        (placed(max_nodes=-1), "facts.partitions.1.max_nodes"),
        (placed(gpus_per_node={"a": -1}), "facts.partitions.1.gpus_per_node"),
        (placed(gpus_per_node={"\x1b": 1}), "facts.partitions.1.gpus_per_node"),
        (placed(gpus_per_node={str(number): 1 for number in range(33)}), "facts.partitions.1.gpus_per_node"),
        (placed(features=("",)), "facts.partitions.1.features"),
        (Facts(values={f"x{number}": ("v" * 255,) for number in range(256)}), "facts"),
    ],
)
def test_facts_beyond_the_bounds(facts: Facts, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_facts(facts)

    assert refused.value.field == field
