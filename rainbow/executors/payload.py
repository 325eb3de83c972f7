"""What a job's shell is to run: the command, or the container that it runs in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rainbow.executors.containers import line_outside
from rainbow.executors.environment import home_of
from rainbow.executors.executor import Site
from rainbow.executors.folders import JobFolder
from rainbow.specs import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A shell runs `command`, in `directory`, with the variables of `environment` besides its own."""

    environment: Mapping[str, str] = field(repr=False)
    directory: str
    command: str


def payload(work: Work, folder: JobFolder, site: Site, *, launched: Callable[[str], str] = str) -> Payload:
    """`launched` makes, of the line that starts a container, one that starts it for each task."""
    home = home_of(site.environment)
    if work.image:
        return Payload(environment={}, directory=home, command=launched(line_outside(work, folder, site.containers)))
    directory = work.working_directory or home
    return Payload(environment=work.environment, directory=directory, command=work.command)
