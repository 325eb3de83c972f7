"""The site's policy file."""

from pathlib import Path
from typing import Any

import pytest

from rainbow.agent.policy import Policy
from rainbow.agent.policy_file import read_policy
from rainbow.errors import InvalidArgument
from rainbow.specs import Work

FILE = r"""
max_nodes = 4
max_tasks = 64
max_time_limit_seconds = 3600
allowed_commands = ['python3 [\w./ -]+', 'hostname']
allowed_environment = ["*"]
refused_environment = ["LD_*", "SLURM_*"]
allowed_directories = ["/scratch", "/home/sim/runs"]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


@pytest.fixture
def policy(path: Path) -> Policy:
    path.write_text(FILE)
    return read_policy(path)


def work(**more: Any) -> Work:
    return Work(**{"command": "hostname", "time_limit_seconds": 60, **more})


@pytest.mark.parametrize(
    "allowed",
    [
        {},
        {"nodes": 4, "tasks": 64, "time_limit_seconds": 3600},
        {"command": "python3 train.py --epochs 10"},
        {"environment": {"GREETING": "hello", "OLD_PATH": "/"}},
        {"working_directory": "/scratch"},
        {"working_directory": "/home/sim/runs//7/./a"},
    ],
)
def test_what_is_within_the_policy_is_taken(policy: Policy, allowed: dict[str, Any]) -> None:
    assert policy.check(work(**allowed)) is None


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({"nodes": 5}, "5 nodes are more than the 4 that this cluster allows"),
        ({"tasks": 65}, "65 tasks are more than the 64 that this cluster allows"),
        ({"time_limit_seconds": 3601}, "3601 seconds of time limit are more than the 3600 that this cluster allows"),
        ({"time_limit_seconds": 0}, "this cluster takes only jobs with a time limit, of at most 3600 seconds"),
        ({"command": "python3 a.py; rm -rf /"}, "the command is none of those that this cluster allows"),
        ({"command": "hostname\nid"}, "this cluster allows only commands of one line"),
        ({"command": "hostname\n"}, "this cluster allows only commands of one line"),
        (
            {"working_directory": "/home/sim"},
            "this cluster lets no job choose the working directory /home/sim; it allows /scratch, /home/sim/runs",
        ),
        ({"environment": {"SLURM_CONF": "", "LD_PRELOAD": ""}}, "this cluster lets no job set LD_PRELOAD, SLURM_CONF"),
    ],
)
def test_a_refusal_says_why(policy: Policy, refused: dict[str, Any], words: str) -> None:
    assert policy.check(work(**refused)) == words


def test_an_empty_policy_allows_all(path: Path) -> None:
    path.write_text("")

    assert read_policy(path).check(Work(command="rm -rf /", nodes=2**31 - 1, environment={"LD_PRELOAD": ""})) is None


@pytest.mark.parametrize("content", ["allowed_environment = []", "allowed_directories = []"])
def test_an_empty_list_of_what_is_allowed_allows_nothing(path: Path, content: str) -> None:
    path.write_text(content)
    policy = read_policy(path)

    refused = [
        policy.check(Work(command="a", environment={"A": ""})),
        policy.check(Work(command="a", working_directory="/")),
    ]

    assert [bool(words) for words in refused] == ["environment" in content, "directories" in content]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("max_nodes = ", "not valid TOML"),
        ("max_node = 4", "there is no max_node; known are max_nodes, max_tasks"),
        ("max_nodes = '4'", "max_nodes: must be a whole number from 0"),
        ("max_nodes = true", "max_nodes: must be a whole number from 0"),
        ("max_tasks = -1", "max_tasks: must be a whole number from 0"),
        ("allowed_commands = 'hostname'", "allowed_commands: must be a list of strings"),
        ("refused_environment = ['']", "refused_environment: must be a list of strings"),
        ("allowed_environment = 'A'", "allowed_environment: must be a list of strings"),
        ("allowed_commands = []", "allowed_commands: is empty"),
        ("allowed_directories = ['tmp']", "allowed_directories: must be absolute paths without"),
        ("allowed_directories = ['/a/../b']", "allowed_directories: must be absolute paths without"),
        ("allowed_commands = ['(']", "is not a regular expression: missing"),
        ("allowed_input_hosts = ['https://a/b']", "allowed_input_hosts: 'https://a/b' in"),
        ("allowed_input_networks = ['10.0.0.1/8']", "allowed_input_networks: '10.0.0.1/8' in"),
        (b"\xff", "cannot read the policy"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(path: Path, content: str | bytes, words: str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(InvalidArgument, match=words.replace("(", r"\(")):
        read_policy(path)


def test_a_missing_file_is_refused(path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot read the policy"):
        read_policy(path)


def test_only_what_the_policy_names_is_fetched(path: Path) -> None:
    hosts = '["data.example.org", "*.zenodo.org", "m.example.org:8443", "http://clear.example.org"]'
    path.write_text(f"allowed_input_hosts = {hosts}")
    policy = read_policy(path)

    def refusal(url: str) -> str | None:
        return policy.check(work(input_urls={"a": f"{url}#sha256={'0' * 64}"}))

    for url in ("https://data.example.org/x", "https://DATA.example.org:443/x", "https://a.b.zenodo.org",
                "https://m.example.org:8443/", "http://clear.example.org/"):  # fmt: skip
        assert refusal(url) is None
    for url in ("http://data.example.org/x", "https://data.example.org:8443/", "https://data.example.org.evil.org/",
                "https://zenodo.org/", "https://m.example.org/", "https://clear.example.org/",
                "https://127.0.0.1/", "https://[::1]/", "https://data.example.org:99999/"):  # fmt: skip
        assert (refusal(url) or "").startswith("input_urls: ")
    assert "it allows none (allowed_input_hosts)" in (
        Policy().check(work(input_urls={"a": f"https://data.example.org/#sha256={'0' * 64}"})) or ""
    )


def test_with_a_list_of_commands_no_job_brings_files_beside_which_they_would_begin(policy: Policy, path: Path) -> None:
    brings = work(command="python3 -m train", inputs={"train.py": "0" * 64})

    assert policy.check(brings) == (
        "inputs: this cluster, which allows some commands only, takes no files of jobs (allow_inputs)"
    )
    assert policy.check(work(outputs=("results/*",))) is None
    path.write_text(f"allow_inputs = true\n{FILE}")
    assert read_policy(path).check(brings) is None
    path.write_text("max_nodes = 4")
    assert read_policy(path).check(brings) is None
