"""What a jobspec of the later generation means here, and what of a graph becomes facts."""

import json
from typing import Any

import pytest
import yaml

from clusters.facts import check_facts
from grpc_api.later.graphs import facts_of_cluster, read_graph, values_of_subsystem
from grpc_api.later.jobspecs import can_be_written, read_jobspec, written
from grpc_api.later.selection import Candidate, choose
from jobs.queries.queue import QueuedJob
from rainbow.errors import InvalidArgument
from tests.support.later_graphs import edge, graph_of, vertex
from tests.test_later_generation import SIMPLE


def read(**change: Any) -> Any:
    return read_jobspec(yaml.safe_dump({**SIMPLE, **change}))


def resources(**resource: Any) -> dict[str, Any]:
    return {"resources": {"hostname": resource}}


def refusal(text: str) -> str:
    with pytest.raises(InvalidArgument) as refused:
        read_jobspec(text)
    return refused.value.field


def test_the_counts_of_a_slot_are_in_all() -> None:
    job = read()

    assert (job.nodes, job.tasks, job.command, job.name) == (2, 4, "hostname -f", "hostname")


def test_a_slot_is_repeated() -> None:
    job = read(**resources(type="node", replicas=3, **{"with": [{"type": "core", "count": 2}]}))

    assert (job.nodes, job.tasks) == (3, 6)


def test_counts_multiply_without_a_slot() -> None:
    cores = {"type": "core", "count": 4}
    socket = {"type": "socket", "count": 2, "with": [cores]}
    job = read(**resources(type="node", count=3, **{"with": [socket]}))

    assert (job.nodes, job.tasks) == (3, 24)


def test_memory_gpus_and_exclusive_nodes() -> None:
    parts = [
        {"type": "core", "count": 4},
        {"type": "gpu", "count": 8},
        {"type": "memory", "count": 10, "unit": "GiB"},
    ]
    job = read(**resources(type="node", replicas=2, exclusive=True, **{"with": parts}))

    assert (job.nodes, job.tasks, job.gpus_per_task, job.memory_mib_per_node) == (2, 8, 2, 10 * 1024)
    assert job.exclusive


def test_a_text_is_a_command_of_the_shell() -> None:
    assert read(tasks=[{"command": "echo $HOME | cat", "resources": "hostname"}]).command == "echo $HOME | cat"


REFUSED = {
    "[": "jobspec",
    "7": "jobspec",
    "version: 2": "jobspec.version",
    "version: 1": "jobspec.tasks",
    "a: &a [b]\nc: *a": "jobspec",
    "[" * 200 + "]" * 200: "jobspec",
    "x" * 70_000: "jobspec",
    "- a\n" * 12_000: "jobspec",
    "version: 1\ngroups: []": "jobspec.groups",
    "version: 1\ntasks: [{command: [a]}, {command: [b]}]": "jobspec.tasks",
    "version: 1\ntasks: [{command: [a], group: b}]": "jobspec.tasks[0].group",
    "version: 1\ntasks: [{command: [a], replicas: 2}]": "jobspec.tasks[0].replicas",
    "version: 1\ntasks: [{command: 7}]": "jobspec.tasks[0].command",
    "version: 1\ntasks: [{command: [a], resources: x}]": "jobspec.tasks[0].resources",
    "version: 1\nresources: {a: {type: tape}}\ntasks: [{command: [a]}]": "jobspec.resources.a.type",
    "version: 1\nresources: {a: {type: node, count: -1}}\ntasks: [{command: [a]}]": "jobspec.resources.a.count",
    "version: 1\nresources: {a: {type: node, replicas: yes}}\ntasks: [{command: [a]}]": "jobspec.resources.a.replicas",
    "version: 1\nresources: {a: {type: node, min: 1}}\ntasks: [{command: [a]}]": "jobspec.resources.a.min",
    "version: 1\nresources: {a: {type: node, requires: [{min: '1'}]}}\ntasks: [{command: [a]}]": (
        "jobspec.resources.a.requires[0].min"
    ),
    "version: 1\ntasks: [{command: [a]}]\nattributes: {duration: x}": "jobspec.attributes.duration",
    "version: 1\ntasks: [{command: [a]}]\nattributes: {system: {}}": "jobspec.attributes.system",
}


@pytest.mark.parametrize(("text", "field"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_has_no_meaning_here_is_named(text: str, field: str) -> None:
    assert refusal(text) == field


def test_the_nodes_of_a_graph_are_told_by_what_they_have() -> None:
    facts = facts_of_cluster(read_graph(graph_of(3, 4, gpus=1)))

    check_facts(facts)
    assert {name: facts.known[name] for name in ("nodes", "cores", "gpus", "cores_per_node")} == {
        "nodes": 3,
        "cores": 12,
        "gpus": 3,
        "cores_per_node": 4,
    }


def test_what_nodes_share_counts_for_each_and_is_walked_within_bounds() -> None:
    nodes = {f"n{number}": vertex("node") for number in range(600)}
    cores = {f"c{number}": vertex("core") for number in range(600)}
    edges = [edge(node, "hub") for node in nodes] + [edge("hub", core) for core in cores]
    text = json.dumps({"graph": {"nodes": {**nodes, **cores, "hub": vertex("socket")}, "edges": edges}})

    with pytest.raises(InvalidArgument) as refused:
        facts_of_cluster(read_graph(text))

    assert refused.value.field == "nodes.graph.edges"


def test_a_circle_ends() -> None:
    nodes = {"n": vertex("node"), "a": vertex("core"), "b": vertex("core")}
    edges = [edge("n", "a"), edge("a", "b"), edge("b", "a"), edge("b", "n")]

    facts = facts_of_cluster(read_graph(json.dumps({"graph": {"nodes": nodes, "edges": edges}})))

    assert facts.known["cores_per_node"] == 2


def test_a_subsystem_is_told_by_what_may_be_required() -> None:
    graph = {"graph": {"nodes": {"a": vertex("shm", byte_addressable=True, bw=7), "b": vertex("nvme")}, "edges": []}}

    assert values_of_subsystem("io", read_graph(json.dumps(graph))) == {
        "io.type": ("shm", "nvme"),
        "io.byte_addressable": ("true",),
        "io.bw": ("7",),
    }


@pytest.mark.parametrize(
    ("algorithm", "priorities", "field"),
    [
        ("fastest", "", "select_algorithm"),
        ("constraint", "", "select_options.priorities"),
        ("constraint", "- a", "select_options.priorities"),
        ("constraint", "[" * 4_000, "select_options.priorities"),
        ("constraint", "- {priority: 1, steps: [{filter: 'a > b'}]}", "select_options.priorities[0].steps[0].filter"),
        ("constraint", "- {priority: 1, steps: [{select: best}]}", "select_options.priorities[0].steps[0].select"),
    ],
)
def test_a_selection_that_is_none_is_refused(algorithm: str, priorities: str, field: str) -> None:
    candidate = Candidate(name="a", facts=facts_of_cluster(read_graph(graph_of(1, 1))))

    with pytest.raises(InvalidArgument) as refused:
        choose([candidate], algorithm=algorithm, options={"priorities": priorities})

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("need", "can_be"),
    [("io.type=shm", True), ("io.note=a>=b", True), ("io.count>=2", False), ("!io.type", False), ("io.type", False)],
)
def test_of_what_a_job_needs_a_jobspec_says_only_what_is_equal(need: str, can_be: bool) -> None:
    job = QueuedJob(id=1, attempt=1, command="true", needs=(need,))

    assert can_be_written(job) is can_be
    if can_be:
        assert read_jobspec(written(job)).needs == (need,)
