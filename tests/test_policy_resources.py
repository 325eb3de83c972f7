"""What a site's policy says of resources, the options of its scheduler, and containers."""

from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.policy import CHOICES, Policy
from rainbow.agent.policy_file import read_policy
from rainbow.errors import InvalidArgument
from rainbow.specs import Work

FILE = """
max_cores = 64
max_gpus = 8
max_memory_mib_per_node = 262144
allow_exclusive = true
allowed_accounts = ["physics", "chem-*"]
allowed_partitions = ["debug", "batch"]
allowed_qos = ["normal"]
allowed_reservations = ["course-*"]
allowed_constraints = ["ib", "rack[12]"]
allowed_images = ["registry.example.org/hpc/*", "/apps/images/*.sif"]
allowed_mounts = ["/scratch", "/apps/tables:ro", "/home/sim/in:/data", "/archive:/:ro"]
"""


def policy_of(folder: Path, text: str) -> Policy:
    (folder / "policy.toml").write_text(text)
    return read_policy(folder / "policy.toml")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return policy_of(tmp_path, FILE)


def work(**more: Any) -> Work:
    return Work(**{"command": "simulate", **more})


@pytest.mark.parametrize(
    "allowed",
    [
        {"tasks": 64},
        {"tasks": 16, "cores_per_task": 4, "gpus_per_task": 0, "memory_mib_per_node": 262144},
        {"nodes": 2, "tasks": 8, "gpus_per_task": 1, "gpu_type": "a100"},
        {"exclusive": True},
        {"account": "chem-7"},
        {"partition": "batch,debug"},
        {"qos": "normal", "reservation": "course-2026", "constraint": "ib"},
        {"image": "registry.example.org/hpc/sim/solver:1.2"},
        {"image": "/apps/images/2026/sim.sif"},
        {"mounts": ("/scratch:/scratch", "/scratch/me/a:/scratch/b")},
        {"mounts": ("/apps/tables/x:/apps/tables:ro",)},
        {"mounts": ("/home/sim/in/7:/data/7", "/archive/a:/anywhere/b:ro")},
    ],
)
def test_what_is_within_the_policy_is_taken(policy: Policy, allowed: dict[str, Any]) -> None:
    assert policy.check(work(**allowed)) is None


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"tasks": 65}, "65 cores are more than the 64 that this cluster allows (max_cores)"),
        ({"nodes": 2, "cores_per_task": 33}, "66 cores are more than the 64 that this cluster allows (max_cores)"),
        ({"nodes": 3, "gpus_per_task": 3}, "9 GPUs are more than the 8 that this cluster allows (max_gpus)"),
        (
            {"memory_mib_per_node": 262145},
            "262145 MiB of memory per node are more than the 262144 that this cluster allows (max_memory_mib_per_node)",
        ),
        (
            {"account": "biology"},
            "account: this cluster does not allow biology; it allows physics, chem-* (allowed_accounts)",
        ),
        (
            {"partition": "debug,long"},
            "partition: this cluster does not allow debug,long; it allows debug, batch (allowed_partitions)",
        ),
        ({"qos": "high"}, "qos: this cluster does not allow high; it allows normal (allowed_qos)"),
        (
            {"reservation": "friday"},
            "reservation: this cluster does not allow friday; it allows course-* (allowed_reservations)",
        ),
        (
            {"constraint": "ib|gpu"},
            "constraint: this cluster does not allow ib|gpu; it allows ib, rack[12] (allowed_constraints)",
        ),
        (
            {"image": "docker.io/library/debian:12"},
            "image: this cluster does not allow docker.io/library/debian:12; it allows"
            " registry.example.org/hpc/*, /apps/images/*.sif (allowed_images)",
        ),
    ],
)
def test_a_refusal_names_the_field_and_the_rule(policy: Policy, refused: dict[str, Any], words: str) -> None:
    assert policy.check(work(**refused)) == words


@pytest.mark.parametrize(
    "mount",
    [
        "/etc:/etc",
        "/scratchy:/scratch",
        "/scratch/me:/opt/sim",
        "/scratch/../etc:/scratch",
        "/scratch:/scratch/../opt",
        "/apps/tables:/apps/tables",
        "/apps:/apps/tables:ro",
        "/home/sim/in:/home/sim/in",
        "/archive:/archive",
    ],
)
def test_a_mount_elsewhere_or_writable_is_refused(policy: Policy, mount: str) -> None:
    refusal = policy.check(work(mounts=("/scratch:/scratch", mount)))

    places = "/scratch, /apps/tables:ro, /home/sim/in:/data, /archive:/:ro"
    assert refusal == f"mounts: this cluster does not allow {mount}; it allows {places} (allowed_mounts)"


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        *(({field: "anything"}, rule) for field, rule in CHOICES.items()),
        ({"mounts": ("/a:/a",)}, "allowed_mounts"),
        ({"exclusive": True}, "allow_exclusive"),
    ],
)
def test_what_a_policy_does_not_name_does_not_pass(tmp_path: Path, asked: dict[str, Any], rule: str) -> None:
    refusal = policy_of(tmp_path, "max_nodes = 4").check(work(**asked))

    assert refusal
    assert refusal.startswith(f"{next(iter(asked))}: this cluster ")
    assert refusal.endswith(f"({rule})")
    assert Policy().check(work(**asked)) is None


@pytest.mark.parametrize("field", CHOICES)
def test_a_star_allows_all(tmp_path: Path, field: str) -> None:
    assert policy_of(tmp_path, f'{CHOICES[field]} = ["*"]').check(work(**{field: "any/thing,[a]"})) is None


def test_a_limit_on_tasks_holds_for_their_cores(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "max_tasks = 8")

    assert policy.check(work(nodes=9)) is None
    assert policy.check(work(tasks=2, cores_per_task=4)) is None
    assert policy.check(work(tasks=2, cores_per_task=5)) == (
        "10 cores are more than the 8 that this cluster allows (max_tasks)"
    )
    assert policy_of(tmp_path, "max_tasks = 8\nmax_cores = 10").check(work(tasks=2, cores_per_task=5)) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("max_cores = -1", "max_cores: must be a whole number from 0"),
        ("allow_exclusive = 1", "allow_exclusive: must be true or false"),
        ("allowed_accounts = 'physics'", "allowed_accounts: must be a list of strings"),
        ("allowed_mounts = ['scratch']", "allowed_mounts: 'scratch' in "),
        ("allowed_mounts = ['/a/../b']", "allowed_mounts: '/a/../b' in "),
        ("allowed_mounts = ['/a:/b:rw']", "allowed_mounts: '/a:/b:rw' in "),
        ("allowed_mounts = ['/a:b:ro']", "allowed_mounts: '/a:b:ro' in "),
        ("allowed_image = []", "there is no allowed_image; known are max_nodes"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        policy_of(tmp_path, content)
