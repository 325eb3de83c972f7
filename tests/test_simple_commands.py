"""Which commands are run without a shell that waits for them, and that it changes nothing of what they do."""

import os
import signal
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainbow.executors.simple_commands import without_shell

PROGRAMS = [
    "hostname",
    "/opt/sim/bin/simulate --steps=1000 --name 'a b' \"$HOME/run\" data/*.csv",
    "bash -c 'trap \"echo told\" USR1; while :; do sleep 1; done'",
    "python3 train.py --epochs 10 --lr=1e-3",
    'env A=b "say $WORD now"',
]
OTHERS = [
    "",
    "-a sh hostname",
    "cd /tmp",
    "exit 3",
    "true",
    "echo hello",
    "A=b hostname",
    "$PROGRAM x",
    "'quoted program' x",
    "hostname; date",
    "hostname && date",
    "hostname | cat",
    "hostname > file",
    "hostname 2>&1",
    "hostname &",
    "hostname\ndate",
    "hostname $(date)",
    "hostname `date`",
    'hostname "$(date)"',
    "( hostname )",
    "{ hostname; }",
    "! hostname",
    "if hostname",
    "f() { date",
    "hostname 'not closed",
    "hostname # remark",
    "hostname \\",
    " hostname",
    "hostname ${A:=b}",
]


@pytest.mark.parametrize("command", PROGRAMS)
def test_one_program_takes_the_shells_place(command: str) -> None:
    assert without_shell(command) == f"exec {command}"


@pytest.mark.parametrize("command", OTHERS)
def test_what_may_be_more_is_left_to_a_shell(command: str) -> None:
    assert without_shell(command) == command


@pytest.mark.parametrize(
    "command", ["/no/such", "no-such-program", "/etc/passwd", "/tmp", "printenv HOME", "sh -c 'exit 7'"]
)
def test_it_ends_as_it_would(command: str) -> None:
    codes = [
        subprocess.run(["/bin/sh", "-c", each], capture_output=True).returncode
        for each in (command, without_shell(command))
    ]

    assert codes[0] == codes[1]


@given(st.lists(st.text(alphabet="a b'\"\\$(){}[];&|<>*?!~#=`\n\t-", max_size=8), max_size=4))
def test_words_reach_a_program_as_they_would(words: list[str]) -> None:
    """`printenv` stands for any program: `printf` of a shell is none."""
    command = " ".join(["/usr/bin/printf", "'%s|'", *words])

    def told(text: str) -> tuple[int, bytes]:
        done = subprocess.run(
            ["/bin/sh", "-c", text], capture_output=True, cwd="/", stdin=subprocess.DEVNULL, timeout=60
        )
        return done.returncode, done.stdout

    if without_shell(command) != command:
        assert told(without_shell(command)) == told(command)


def test_a_program_that_handles_a_signal_gets_it_alone() -> None:
    command = "bash -c 'trap \"exit 5\" USR1; echo ready; while :; do sleep 0.1; done'"
    process = subprocess.Popen(
        ["/bin/sh", "-c", without_shell(command)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"

    os.killpg(process.pid, signal.SIGUSR1)

    assert process.wait(60) == 5
    process.stdout.close()
