"""What jobs, and the commands that talk to a scheduler, get to see of the agent's environment."""

import os
import pwd
from collections.abc import Mapping

FOR_JOBS = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR")
FOR_COMMANDS = (
    *FOR_JOBS,
    "XDG_RUNTIME_DIR",
    "KRB5CCNAME",
    "SLURM_CONF",
    "SLURM_CONF_SERVER",
    "SLURM_JWT",
    "FLUX_URI",
    "FLUX_CONNECTOR_PATH",
)
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def job_environment(agent: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a job: that of a login, and what the job asked for."""
    return {**_picked(agent, FOR_JOBS), **asked}


def command_environment(agent: Mapping[str, str]) -> dict[str, str]:
    """The environment of the scheduler's commands: enough to find it, and none that changes their defaults."""
    return _picked(agent, FOR_COMMANDS)


def home_of(agent: Mapping[str, str]) -> str:
    return _picked(agent, ("HOME",))["HOME"]


def _picked(agent: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    me = pwd.getpwuid(os.getuid())
    login = {"PATH": PATH, "HOME": me.pw_dir, "USER": me.pw_name, "LOGNAME": me.pw_name, "SHELL": me.pw_shell}
    found = {name: _absolute(agent[name]) if name == "PATH" else agent[name] for name in names if name in agent}
    return {**{name: value for name, value in login.items() if name in names}, **found}


def _absolute(path: str) -> str:
    """A PATH without entries that lead into the working directory, which a job chooses."""
    return ":".join(entry for entry in path.split(":") if entry.startswith("/")) or PATH
