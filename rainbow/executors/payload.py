"""What a job's shell is to run: the command, or the container that it runs in."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rainbow.executors.containers import line_outside
from rainbow.executors.environment import home_of
from rainbow.executors.executor import Site
from rainbow.executors.folders import SECRETS, JobFolder
from rainbow.executors.simple_commands import without_shell
from rainbow.specs import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A shell runs `command`, in `directory`, with the variables of `environment` besides its own."""

    environment: Mapping[str, str] = field(repr=False)
    directory: str
    command: str


def write_secrets(work: Work, folder: JobFolder) -> None:
    """In a container they are part of what its shell reads."""
    if work.secret_values and not work.image:
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in work.secret_values.items())
        folder.job.keep(SECRETS, exports.encode())


def secrets_line(work: Work, folder: JobFolder, *, then_remove: bool) -> str:
    """The line of a script that has them set; empty where there are none."""
    if not work.secret_values or work.image:
        return ""
    path = shlex.quote(str(folder.path / SECRETS))
    return f". {path} || exit 1; rm -f {path}\n" if then_remove else f". {path} || exit 1\n"


def payload(work: Work, folder: JobFolder, site: Site, *, launched: Callable[[str], str] = str) -> Payload:
    """`launched` makes, of the line that starts a container, one that starts it for each task."""
    home = home_of(site.environment)
    if work.image:
        return Payload(environment={}, directory=home, command=launched(line_outside(work, folder, site.containers)))
    directory = work.working_directory or home
    return Payload(environment=work.environment, directory=directory, command=without_shell(work.command))
