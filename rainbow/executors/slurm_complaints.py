"""What it means when sbatch fails: that Slurm does not take the job, not now, or that it is not known."""

import re

from rainbow.executors.commands import Answer
from rainbow.executors.executor import NotTaken, SchedulerSilent, WorkRefused
from rainbow.spec_rules import SITE_OPTIONS
from rainbow.specs import Work

# What Slurm's commands say when they may be right or wrong to give up. `sbatch` may have submitted all the same.
SILENT = re.compile(
    r"unable to contact|timed out|timeout|connection (refused|reset)|zero bytes|temporarily|not responding"
    r"|transmission|communication|unable to process configuration|cannot stat file|no such file or directory.*retrying"
    r"|protocol authentication|unspecified error|try again|getaddrinfo|resolve",
    re.IGNORECASE,
)
# A partition that takes no jobs for now; limits on how many jobs a user may have at once.
NOT_NOW = re.compile(r"partition not available|(max|grp)submitjobs?", re.IGNORECASE)
# What follows is one of Slurm's own errors.
SLURM_SAYS = "Batch job submission failed: "
SUDO_REFUSES = re.compile(r"Sorry, user \S+ is not allowed to execute")


def failure(answer: Answer, work: Work) -> WorkRefused | SchedulerSilent:
    lines = [line.removeprefix("sbatch: error: ") for line in answer.complaint.splitlines()]
    # sudo also warns, as of a host without an address, and goes on.
    words = " ".join(line for line in lines if not line.startswith("sudo: "))
    if (lines and not words and answer.status == 1) or SUDO_REFUSES.match(words):
        return WorkRefused(f"the agent may not hand it over: {' '.join(lines)}")
    if answer.status < 0 or not words:
        return SchedulerSilent(f"sbatch ended with status {answer.status} {words}".rstrip())
    told = _of_slurm(words, lines, work)
    if NOT_NOW.search(told):
        return NotTaken(f"Slurm takes no jobs now: {words}")
    return SchedulerSilent(f"sbatch: {words}") if SILENT.search(told) else WorkRefused(f"Slurm refused: {words}")


def _of_slurm(words: str, lines: list[str], work: Work) -> str:
    """Without the lines that repeat what the job says, which its submitter chose, if Slurm's own error is there."""
    if not any(line.startswith(SLURM_SAYS) for line in lines):
        return words
    own = [value for name in (*SITE_OPTIONS, "gpu_type") if (value := getattr(work, name))]
    repeats = re.compile("|".join(rf"(?<!\w){re.escape(value)}(?!\w)" for value in own) or r"(?!)")
    return " ".join(line for line in lines if line.startswith(SLURM_SAYS) or not repeats.search(line))
