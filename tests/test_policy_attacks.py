"""The example policy of docs/agent.md, attacked: nothing gets past it but what its list says."""

import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainbow.agent.policy import Policy
from rainbow.agent.policy_file import read_policy
from rainbow.arrays import ARRAY_JOB_ID, variables_of
from rainbow.executors.executor import Executor, JobPhase, Site
from rainbow.executors.local import LocalExecutor
from rainbow.specs import Work
from tests.support.executors import hand_over, wait_for
from tests.support.hostile import TRICKS, any_text
from tests.support.servers import ROOT

GOOD = [
    "hostname",
    "/opt/sim/bin/simulate",
    "/opt/sim/bin/simulate --steps=1000 --seed=7",
    "srun /opt/sim/bin/simulate --input=/scratch/sim/run_7.toml",
]
# Words that no shell takes for more than words.
PLAIN = re.compile(r"[A-Za-z0-9_./=-]+( [A-Za-z0-9_./=-]+)*")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    examples = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/agent.md").read_text(), re.DOTALL)
    (example,) = [one for one in examples if "allowed_commands" in one]
    file = tmp_path_factory.mktemp("policy") / "policy.toml"
    file.write_text(example)
    return read_policy(file)


def work(command: str = "hostname", **more: Any) -> Work:
    return Work(**{"command": command, "time_limit_seconds": 60, **more})


@pytest.mark.parametrize("command", GOOD)
def test_what_the_example_is_for_passes(policy: Policy, command: str) -> None:
    environment = {"OMP_NUM_THREADS": "4", "SIM_MODE": "fast"}

    assert policy.check(work(command)) is None
    assert policy.check(work(command, environment=environment, working_directory="/scratch/sim/a")) is None


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "BROWSER", "PYTHONWARNINGS", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "LD_PRELOAD",
        "LD_LIBRARY_PATH", "LD_AUDIT",
        "BASH_ENV", "ENV", "IFS", "PS4", "SHELLOPTS", "HOME", "SHELL", "PAGER", "EDITOR", "GIT_SSH_COMMAND",
        "PERL5OPT", "RUBYOPT", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "SLURM_CONF", "FLUX_URI", "GCONV_PATH", "NLSPATH",
        "TMPDIR", "XSIM_MODE", "sim_mode", "OMP_NUM_THREADS2",
    ],
)  # fmt: skip
def test_no_variable_passes_that_is_not_named(policy: Policy, name: str) -> None:
    assert policy.check(work(environment={name: "/evil"})) == f"this cluster lets no job set {name}"


@pytest.mark.parametrize(
    "directory",
    ["/", "/tmp", "/scratch", "/scratch/simulations", "/scratch/sim/../../tmp", "//scratch/sim", "/scratch/./../tmp",
     "/SCRATCH/sim"],
)  # fmt: skip
def test_no_directory_passes_that_is_not_named(policy: Policy, directory: str) -> None:
    refusal = policy.check(work(working_directory=directory))

    assert refusal and refusal.startswith("this cluster lets no job choose the working directory")


@pytest.mark.parametrize(
    "command",
    [
        "python3 -m this", "python3 -c 'import os'", "./hostname", "/evil/hostname", "hostname;id", "hostname\nid",
        "hostname\n", "PATH=/evil hostname", "env hostname", "hostname&&id", "hostname $(id)", " hostname", "HOSTNAME",
        "/opt/sim/bin/simulate --steps=1 --exec=id", "/opt/sim/bin/simulate --steps=\u0661",
        "/opt/sim/bin/../../../evil/simulate", "/opt/sim/bin/simulate --steps=1;id",
        "srun /opt/sim/bin/simulate --input=/scratch/sim/../../evil.toml", "srun --uid=0 /opt/sim/bin/simulate",
        "srun /opt/sim/bin/simulate --input=/scratch/sim/axtoml",
    ],
)  # fmt: skip
def test_no_command_passes_that_is_not_listed(policy: Policy, command: str) -> None:
    assert policy.check(work(command))


@given(command=st.sampled_from(GOOD), place=st.integers(0, 60), trick=st.one_of(st.sampled_from(TRICKS), any_text))
def test_a_command_that_is_tampered_with_passes_only_where_a_shell_sees_plain_words(
    policy: Policy, command: str, place: int, trick: str
) -> None:
    tampered = command[:place] + trick + command[place:]

    if policy.check(work(tampered)) is None:
        assert PLAIN.fullmatch(tampered)
        assert shlex.split(tampered)[0] in ("hostname", "/opt/sim/bin/simulate", "srun")


def test_a_list_of_commands_lets_no_variable_and_no_directory_pass_by_itself() -> None:
    policy = Policy(allowed_commands=(re.compile("hostname"),))

    assert policy.check(work()) is None
    assert policy.check(work(environment={"HARMLESS": "1"})) == "this cluster lets no job set HARMLESS"
    assert policy.check(work(working_directory="/tmp")) == "this cluster lets no job choose the working directory /tmp"


@pytest.mark.parametrize("policy", [Policy(allowed_environment=()), Policy(refused_environment=("SLURM_*",))])
def test_members_of_a_sweep_may_have_its_numbers_and_nothing_else(policy: Policy) -> None:
    numbers = {**variables_of(range(3, 100)), ARRAY_JOB_ID: "7"}

    assert policy.check(work(environment=numbers, array_index=3)) is None
    assert "SLURM_ARRAY_TASK_MIN" in str(policy.check(work(environment=numbers))), "of no sweep"
    for name, value in (
        ("SLURM_ARRAY_TASK_MAX", "9;id"),
        ("SLURM_ARRAY_TASK_MAX", "9\n"),
        (ARRAY_JOB_ID, "$(id)"),
        ("SLURM_CONF", "9"),
    ):
        evil = work(environment={**numbers, name: value}, array_index=3)
        assert policy.check(evil) == f"this cluster lets no job set {name}"


def test_a_pattern_that_lets_ends_of_lines_through_allows_no_second_command() -> None:
    policy = Policy(allowed_commands=(re.compile(r"echo[^;&|]*"),))

    assert policy.check(work("echo a")) is None
    assert policy.check(work("echo a\nid")) == "this cluster allows only commands of one line"


def test_a_pattern_that_would_take_for_ever_refuses_soon() -> None:
    policy = Policy(allowed_commands=(re.compile(r"python3( ?[\w./-]+)*"),))
    began = time.process_time()

    refusal = policy.check(work(f"python3 {'a' * 60};"))

    assert refusal == "the command takes too long to be compared with those that this cluster allows"
    assert time.process_time() - began < 10
    assert policy.check(work("python3 train.py")) is None


def test_a_refusal_holds_a_few_names_and_no_control_characters() -> None:
    names = {f"A\x1b[2J\n{number:03}": "" for number in range(3000)}

    refusal = Policy(allowed_environment=()).check(work(environment=names))

    assert refusal and refusal.isprintable()
    assert len(refusal) < 200
    assert refusal.endswith("and 2995 others")


# What a bare name means


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A directory with a program that has the name of an allowed one."""
    program = tmp_path / "evil" / "hostname"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho owned\n")
    program.chmod(0o700)
    return program.parent


@pytest.mark.parametrize(
    "path", [".:/usr/bin:/bin", ":/usr/bin:/bin", "/usr/bin::/bin", "./x:../evil:/usr/bin:/bin", "."]
)
def test_a_bare_name_is_never_a_program_of_the_working_directory(tmp_path: Path, evil: Path, path: str) -> None:
    local: Executor = LocalExecutor(Site(folder=tmp_path / "state", environment={"PATH": path}))

    ticket = hand_over(local, "rainbow-1-1", "hostname", working_directory=str(evil))
    wait_for(local, ticket, JobPhase.ENDED)

    assert local.output(ticket).strip() not in ("", "owned")
