"""Whether `sbatch` takes the options that a site gives for each job: a wrong one would fail them all, one by one."""

import re
from collections.abc import Mapping, Sequence

from rainbow.executors.commands import ask

# What holds for a job of any size. A small job that does not fit says nothing about others.
WRONG = re.compile(
    r"unrecognized option|requires an argument|is ambiguous|invalid [^\n]*specifi(ed|cation)|reservation is invalid"
    r"|invalid (account|qos|wckey)|unable to open file",
    re.IGNORECASE,
)
A_JOB = "#!/bin/sh\n"


class OptionCheck:
    def __init__(self, options: Sequence[str], environment: Mapping[str, str]) -> None:
        self._options = options
        self._environment = environment
        self._is_open = bool(options)

    def fault(self) -> str:
        """What is wrong with the options; empty where nothing is, or where only a job can tell.

        Asks until there was an answer that was no fault. Raises SchedulerSilent.
        """
        if not self._is_open:
            return ""
        answer = ask(
            ["sbatch", "--test-only", *self._options, "--nodes=1", "--ntasks=1"],
            environment=self._environment,
            standard_input=A_JOB,
        )
        words = " ".join(line for line in answer.complaint.splitlines() if not line.startswith("Try "))
        if answer.status and WRONG.search(words):
            return f"sbatch does not take what --scheduler-option says: {words}"
        self._is_open = False
        return ""
