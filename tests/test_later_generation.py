"""The later generation of the original protocol, by calls as its published client makes them."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest
import yaml

from grpc_api.later import later_pb2 as later
from rainbow.client import Client
from rainbow.records import GroupWish, JobSpec
from tests.support.later_graphs import edge, graph_of, vertex
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import RainbowServer
from tests.support.wire import SERVICE, Remote, joined, new_name

# As the published client writes a command of two nodes and four tasks.
SIMPLE = {
    "version": 1,
    "name": "hostname",
    "resources": {
        "hostname": {
            "type": "rack",
            "replicas": 1,
            "with": [{"type": "node", "count": 2, "with": [{"type": "core", "count": 4}]}],
        }
    },
    "tasks": [{"command": ["hostname", "-f"], "resources": "hostname"}],
}


def call(server: RainbowServer, method: str, request: Any, reply: Any) -> Any:
    with grpc.insecure_channel(server.address) as channel:
        make = channel.unary_unary(f"{SERVICE}/{method}", type(request).SerializeToString, reply.FromString)
        return make(request, timeout=PATIENCE_SECONDS)


class Cluster:
    """A cluster of the later generation."""

    def __init__(self, server: RainbowServer, graph: str) -> None:
        self.server = server
        self.name = new_name()
        request = later.RegisterRequest(name=self.name, secret=server.registration_secret, nodes=graph)
        answer = call(server, "Register", request, later.RegisterResponse)
        assert answer.status == later.RegisterResponse.REGISTER_SUCCESS
        self.token, self.secret = answer.token, answer.secret

    def submit(self, jobspec: dict[str, Any], *others: "Cluster", **fields: Any) -> later.SubmitJobResponse:
        clusters = [later.SubmitJobRequest.Cluster(name=one.name, token=one.token) for one in (self, *others)]
        request = later.SubmitJobRequest(
            **{"name": "job", "clusters": clusters, "jobspec": yaml.safe_dump(jobspec), "select_algorithm": "random"}
            | fields
        )
        answer: later.SubmitJobResponse = call(self.server, "SubmitJob", request, later.SubmitJobResponse)
        return answer

    def receive(self, most: int = 0) -> later.ReceiveJobsResponse:
        request = later.ReceiveJobsRequest(cluster=self.name, secret=self.secret, maxJobs=most)
        answer: later.ReceiveJobsResponse = call(self.server, "ReceiveJobs", request, later.ReceiveJobsResponse)
        return answer

    def update_state(self, payload: str) -> int:
        request = later.UpdateStateRequest(cluster=self.name, secret=self.secret, payload=payload)
        return int(call(self.server, "UpdateState", request, later.UpdateStateResponse).status)

    def register_subsystem(self, name: str, graph: str) -> int:
        request = later.RegisterRequest(name=self.name, secret=self.secret, nodes=graph, subsystem=name)
        return int(call(self.server, "RegisterSubsystem", request, later.RegisterResponse).status)

    def delete(self, subsystem: str = "") -> int:
        request = later.DeleteRequest(name=self.name, secret=self.secret, subsytem=subsystem)
        method = "DeleteSubsystem" if subsystem else "Delete"
        return int(call(self.server, method, request, later.DeleteResponse).status)


@pytest.fixture
def keebler(server: RainbowServer) -> Cluster:
    return Cluster(server, graph_of(3, 4))


@pytest.fixture
def small(server: RainbowServer) -> Cluster:
    return Cluster(server, graph_of(1, 2))


@pytest.fixture
def first(server: RainbowServer) -> Iterator[Remote]:
    with joined(server) as remote:
        yield remote


def refused(make: Callable[[], Any]) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.RpcError) as failure:
        make()
    error: Any = failure.value
    return error.code(), error.details(), dict(error.trailing_metadata()).get("rainbow-field", "")


def test_a_job_is_submitted_received_and_accepted(keebler: Cluster) -> None:
    submitted = keebler.submit(SIMPLE)
    received = keebler.receive()

    assert (submitted.status, submitted.cluster) == (later.SubmitJobResponse.SUBMIT_SUCCESS, keebler.name)
    assert list(received.jobs) == [submitted.jobid]
    told = json.loads(received.jobs[submitted.jobid])
    assert (told["id"], told["cluster"], told["name"], told["command"]) == (submitted.jobid, keebler.name, "job", "")
    jobspec = yaml.safe_load(told["jobspec"])
    rack = jobspec["resources"]["rack"]
    assert rack["with"] == [{"type": "node", "count": 2, "with": [{"type": "core", "count": 4}]}]
    assert jobspec["tasks"] == [{"command": ["hostname", "-f"], "resources": "rack"}]


def test_what_is_received_can_be_submitted_again(keebler: Cluster) -> None:
    """It is the same job: nodes, tasks, command, time limit, folder and environment."""
    whole = SIMPLE | {"attributes": {"duration": 90, "cwd": "/tmp", "environment": {"A": "b"}}}
    one = keebler.submit(whole).jobid
    two = keebler.submit(yaml.safe_load(json.loads(keebler.receive().jobs[one])["jobspec"])).jobid

    first, second = (json.loads(keebler.receive().jobs[id])["jobspec"] for id in (one, two))

    assert first == second
    assert yaml.safe_load(first)["attributes"] == {"duration": 90, "cwd": "/tmp", "environment": {"A": "b"}}


def test_whatever_a_jobspec_asks_for_is_received(server: RainbowServer) -> None:
    """GPUs, memory, whole nodes: as they were submitted."""
    large = Cluster(server, graph_of(3, 4, gpus=4))
    parts = [{"type": "core", "count": 4}, {"type": "gpu", "count": 8}]
    resources = {
        "r": {"type": "rack", "replicas": 1, "with": [{"type": "node", "count": 2, "exclusive": True, "with": parts}]}
    }
    one = large.submit({"version": 1, "resources": resources, "tasks": [{"command": ["a"], "resources": "r"}]}).jobid

    jobspec = yaml.safe_load(json.loads(large.receive().jobs[one])["jobspec"])

    assert jobspec["resources"]["rack"]["with"] == resources["r"]["with"]
    two = large.submit(jobspec).jobid
    assert yaml.safe_load(json.loads(large.receive().jobs[two])["jobspec"]) == jobspec


def test_what_no_jobspec_can_say_is_not_received(keebler: Cluster, server: RainbowServer) -> None:
    """Such jobs wait for an agent that knows them."""
    with Client(server.address, cluster=keebler.name, token=keebler.token) as client:
        group = GroupWish(name="g", idempotency_key="g")
        image = JobSpec(command="a", image="debian:12")
        (task,) = client.submit_stream([JobSpec(command="a", array_index=0)], group=group)
        kept = [client.submit_job(image).jobid, client.submit_job(JobSpec(command="a", needs=("!gpu",))).jobid]
        plain = client.submit_job(JobSpec(command="a")).jobid
    assert task.jobid and all(kept)

    assert list(keebler.receive().jobs) == [plain]
    assert list(keebler.receive(1).jobs) == [plain]


def test_a_job_goes_where_it_fits(keebler: Cluster, small: Cluster) -> None:
    assert {keebler.submit(SIMPLE, small).cluster for _ in range(5)} == {keebler.name}
    assert refused(lambda: small.submit(SIMPLE)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "clusters: none of these clusters can run it",
        "clusters",
    )


def test_satisfy_only_stores_nothing(keebler: Cluster, small: Cluster) -> None:
    answer = keebler.submit(SIMPLE, small, satisfy_only=True)

    assert (list(answer.clusters), answer.jobid, answer.cluster) == ([keebler.name], 0, "")
    assert not keebler.receive().jobs


def test_one_wrong_token_refuses_all(keebler: Cluster, small: Cluster) -> None:
    small.token = keebler.token

    code, text, _ = refused(lambda: keebler.submit(SIMPLE, small))

    assert (code, text) == (grpc.StatusCode.UNAUTHENTICATED, "request denied")
    assert not keebler.receive().jobs


def test_a_subsystem_is_what_jobs_require(keebler: Cluster, small: Cluster) -> None:
    io = {"graph": {"nodes": {"io0": vertex("io"), "io1": vertex("shm", mount_point="/dev/shm")}, "edges": []}}
    requires = [{"name": "io", "field": "type", "match": "shm"}]
    resources = {"ior": {"type": "node", "replicas": 1, "requires": requires, "with": [{"type": "core", "count": 1}]}}
    wants = {"version": 1, "resources": resources, "task": {"command": ["ior"]}}

    assert keebler.register_subsystem("io", json.dumps(io)) == later.RegisterResponse.REGISTER_SUCCESS
    submitted = keebler.submit(wants, small)
    assert submitted.cluster == keebler.name
    jobspec = yaml.safe_load(json.loads(keebler.receive().jobs[submitted.jobid])["jobspec"])
    assert jobspec["resources"]["rack"]["requires"] == requires
    assert keebler.delete("io") == later.DeleteResponse.DELETE_SUCCESS
    assert keebler.delete("io") == later.DeleteResponse.DELETE_NO_EXISTS
    assert refused(lambda: keebler.submit(wants, small))[0] == grpc.StatusCode.FAILED_PRECONDITION


def test_a_constraint_selects_by_state(keebler: Cluster, server: RainbowServer) -> None:
    other = Cluster(server, graph_of(3, 4))
    for cluster, free in ((keebler, 3), (other, 20)):
        # As the published client sends a file: JSON of a text that is JSON.
        told = json.dumps(json.dumps({"nodes_free": free, "site": "x"}))
        assert cluster.update_state(told) == later.UpdateStateResponse.UPDATE_STATE_SUCCESS
    steps = [{"filter": "nodes_free > 0"}, {"sort_descending": "nodes_free"}, {"select": "first"}]
    options = {"priorities": yaml.safe_dump([{"priority": 1, "steps": steps}])}
    none = {"priorities": yaml.safe_dump([{"priority": 1, "steps": [{"filter": "nodes_free > 99"}]}])}

    chosen = keebler.submit(SIMPLE, other, select_algorithm="constraint", select_options=options)
    code, text, _ = refused(lambda: keebler.submit(SIMPLE, other, select_algorithm="constraint", select_options=none))

    assert chosen.cluster == other.name
    assert (code, text) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "select_options.priorities: leaves none of the clusters that can run it",
    )


def test_a_step_that_is_none_here_is_named(keebler: Cluster) -> None:
    steps = [{"filter": "nodes_free > 0"}, {"calc": "a=b*c"}]
    options = {"priorities": yaml.safe_dump([{"priority": 1, "steps": steps}])}

    code, _, field = refused(lambda: keebler.submit(SIMPLE, select_algorithm="constraint", select_options=options))

    assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "select_options.priorities[0].steps[1].calc")


@pytest.mark.parametrize("name", ["\ud800", "é", "a\nb", "a\x01b"], ids=ascii)
def test_a_name_that_metadata_cannot_have_is_refused_as_any_other(keebler: Cluster, name: str) -> None:
    code, _, field = refused(lambda: keebler.update_state(json.dumps({name: []})))
    assert (code, field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        f"payload.{''.join(character if ' ' <= character <= '~' else '?' for character in name)}",
    )

    code, _, _ = refused(lambda: keebler.register_subsystem("io", json.dumps({"graph": {"nodes": {name: 5}}})))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_a_deleted_cluster_takes_nothing_and_gives_nothing(keebler: Cluster, first: Remote) -> None:
    job_id = keebler.submit(SIMPLE).jobid

    assert keebler.delete() == later.DeleteResponse.DELETE_SUCCESS

    assert refused(keebler.receive)[0] == grpc.StatusCode.UNAUTHENTICATED
    assert refused(lambda: keebler.submit(SIMPLE))[0] == grpc.StatusCode.UNAUTHENTICATED
    assert job_id
    assert first.submit().status == 1


def test_the_generations_meet_in_one_queue(server: RainbowServer, keebler: Cluster, first: Remote) -> None:
    """What was submitted by the first is received by the later one, and the other way around."""
    job_id = first.submit("echo $HOME", nodes=1, tasks=2).jobid
    request = later.ReceiveJobsRequest(cluster=first.name, secret=first.secret)
    received = call(server, "ReceiveJobs", request, later.ReceiveJobsResponse)

    jobspec = yaml.safe_load(json.loads(received.jobs[job_id])["jobspec"])

    assert jobspec["tasks"][0]["command"] == ["/bin/sh", "-c", "echo $HOME"]


def test_a_graph_that_is_none_registers_nothing(server: RainbowServer) -> None:
    name = new_name()
    unlike: dict[str, Any] = {"graph": {"nodes": {str(cores): vertex("node") for cores in range(300)}, "edges": []}}
    for cores in range(300):
        unlike["graph"]["nodes"][f"c{cores}"] = vertex("core") | {"metadata": {"type": "core", "size": cores + 1}}
        unlike["graph"]["edges"].append(edge(str(cores), f"c{cores}"))
    broken = ("{", '{"graph": []}', '{"graph": {"nodes": {"a": 7}}}', graph_of(0, 0))
    for nodes in (*broken, json.dumps(unlike)):
        request = later.RegisterRequest(name=name, secret=server.registration_secret, nodes=nodes)
        code, _, field = refused(partial(call, server, "Register", request, later.RegisterResponse))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert field.startswith(("nodes", "facts.partitions"))
    good = later.RegisterRequest(name=name, secret=server.registration_secret, nodes=graph_of(1, 1))
    assert call(server, "Register", good, later.RegisterResponse).status == 1


def test_a_wrong_secret_is_told_before_the_graph_is_read(server: RainbowServer) -> None:
    request = later.RegisterRequest(name=new_name(), secret="wrong", nodes="{")

    assert refused(lambda: call(server, "Register", request, later.RegisterResponse))[0] == (
        grpc.StatusCode.UNAUTHENTICATED
    )


def test_a_memory_graph_is_served_where_the_operator_turns_it_on(
    start_server: Callable[..., RainbowServer], server: RainbowServer
) -> None:
    """Before anything is known of who asks."""
    request = later.SatisfyRequest(payload=json.dumps(SIMPLE), matcher="match")

    def satisfy(server: RainbowServer) -> later.SatisfyResponse:
        with grpc.insecure_channel(server.address) as channel:
            ask = channel.unary_unary(
                "/service.MemoryGraph/Satisfy",
                later.SatisfyRequest.SerializeToString,
                later.SatisfyResponse.FromString,
            )
            answer: later.SatisfyResponse = ask(request, timeout=PATIENCE_SECONDS)
            return answer

    open_server = start_server(environment={"RAINBOW_MEMORY_GRAPH": "true"})
    large, small = Cluster(open_server, graph_of(3, 4)), Cluster(open_server, graph_of(1, 2))
    answer = satisfy(open_server)

    assert large.name in answer.clusters
    assert small.name not in answer.clusters
    assert answer.total_matches + answer.total_mismatches == answer.total_clusters
    assert refused(lambda: satisfy(server))[0] == grpc.StatusCode.UNIMPLEMENTED
