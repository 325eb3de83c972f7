"""Which jobs a site takes."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from rainbow.agent.allowed_mounts import AllowedMount
from rainbow.agent.bounded_regex import TookTooLong, matches
from rainbow.agent.input_sources import InputSources
from rainbow.arrays import tells_of_array
from rainbow.executors.container_mounts import mount_of
from rainbow.executors.sizes import total_cores, total_gpus
from rainbow.specs import Work
from rainbow.text import on_one_line

# Fields whose values a site allows by patterns, and the names of the patterns in the policy file.
CHOICES: Mapping[str, str] = {
    "account": "allowed_accounts",
    "partition": "allowed_partitions",
    "qos": "allowed_qos",
    "reservation": "allowed_reservations",
    "constraint": "allowed_constraints",
    "image": "allowed_images",
}
# Slurm takes several of these, separated by commas.
LISTED = ("account", "partition", "qos", "reservation")
LONGEST_REASON = 1000
# How many of the refused names of variables a reason lists.
MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of 0, and what is None or left out, allow all.

    A command must be one line, and match one of `allowed_commands`, regular expressions, from its first character to
    its last. A variable's name must match one of `allowed_environment`, patterns such as `OMP_*`, and none of
    `refused_environment`. A working directory must be one of `allowed_directories` or lie below.

    A list of commands would be worth nothing if a job chose what else makes them do something: with one, no variable
    and no working directory passes that is not allowed by name, and no file that comes with it but for `allow_inputs`.

    The options of a scheduler, images and mounts decide whose budget a job is charged to and what its command is. So
    where there is a policy file, none passes that the file does not allow: `allowed_choices`, patterns by field, and
    `allowed_mounts` are None only without a file. Nor does a job get nodes for itself alone.

    Nothing is fetched by URL but from `input_sources`, which has none by default.

    `max_cores` and `max_gpus` are of the whole job. Where cores are not limited, a job that asks for more than one for
    each task has at most `max_tasks`.
    """

    max_nodes: int = 0
    max_tasks: int = 0
    max_time_limit_seconds: int = 0
    allowed_commands: tuple[re.Pattern[str], ...] = ()
    allowed_environment: tuple[str, ...] | None = None
    refused_environment: tuple[str, ...] = ()
    allowed_directories: tuple[PurePosixPath, ...] | None = None
    max_cores: int = 0
    max_gpus: int = 0
    max_memory_mib_per_node: int = 0
    allow_exclusive: bool = True
    allow_inputs: bool = False
    allowed_choices: Mapping[str, tuple[str, ...]] | None = None
    allowed_mounts: tuple[AllowedMount, ...] | None = None
    input_sources: InputSources = field(default_factory=InputSources)

    def check(self, work: Work) -> str | None:
        """Why the site does not take this work, for its submitter to read; None if it does."""
        return (
            _above("nodes", work.nodes, self.max_nodes)
            or _above("tasks", work.tasks, self.max_tasks)
            or self._time_refused(work.time_limit_seconds)
            or self._command_refused(work.command)
            or self._environment_refused([*_chosen_variables(work), *work.secrets])
            or self._directory_refused(work.working_directory)
            or self._inputs_refused(work)
            or self._input_urls_refused(work)
            or self._resources_refused(work)
            or self._choices_refused(work)
            or self._mounts_refused(work.mounts)
        )

    def _time_refused(self, seconds: int) -> str | None:
        limit = self.max_time_limit_seconds
        if limit and not seconds:
            return f"this cluster takes only jobs with a time limit, of at most {limit} seconds"
        return _above("seconds of time limit", seconds, limit)

    def _command_refused(self, command: str) -> str | None:
        if not self.allowed_commands:
            return None
        # A line's end begins another command, and patterns such as \s and [^;] let it through unnoticed.
        if "\n" in command:
            return "this cluster allows only commands of one line"
        try:
            allowed = any(matches(pattern, command) for pattern in self.allowed_commands)
        except TookTooLong:
            return "the command takes too long to be compared with those that this cluster allows"
        return None if allowed else "the command is none of those that this cluster allows"

    def _environment_refused(self, names: Collection[str]) -> str | None:
        refused = sorted(name for name in names if not self._is_variable_allowed(name))
        if not refused:
            return None
        more = f" and {len(refused) - MOST_NAMES} others" if len(refused) > MOST_NAMES else ""
        return on_one_line(f"this cluster lets no job set {', '.join(refused[:MOST_NAMES])}{more}")

    def _is_variable_allowed(self, name: str) -> bool:
        if any(fnmatchcase(name, pattern) for pattern in self.refused_environment):
            return False
        if self.allowed_environment is None:
            return not self.allowed_commands
        return any(fnmatchcase(name, pattern) for pattern in self.allowed_environment)

    def _directory_refused(self, directory: str) -> str | None:
        if not directory or (self.allowed_directories is None and not self.allowed_commands):
            return None
        path = PurePosixPath(directory)
        allowed = self.allowed_directories or ()
        if ".." not in path.parts and any(path.is_relative_to(place) for place in allowed):
            return None
        places = f"; it allows {', '.join(map(str, allowed))}" if allowed else ""
        return on_one_line(f"this cluster lets no job choose the working directory {directory}{places}", longest=1000)

    def _inputs_refused(self, work: Work) -> str | None:
        """The job begins beside them: they are what `make` and `python3 -m train` run."""
        if not self.allowed_commands or self.allow_inputs or not (work.inputs or work.input_urls):
            return None
        return "inputs: this cluster, which allows some commands only, takes no files of jobs (allow_inputs)"

    def _input_urls_refused(self, work: Work) -> str | None:
        refusals = (self.input_sources.refusal(url) for url in work.input_urls.values())
        refusal = next(filter(None, refusals), None)
        return f"input_urls: {refusal}" if refusal else None

    def _resources_refused(self, work: Work) -> str | None:
        implied = self.max_tasks if work.cores_per_task else 0
        if work.exclusive and not self.allow_exclusive:
            return "exclusive: this cluster gives no job whole nodes (allow_exclusive)"
        return (
            _over("cores", total_cores(work), self.max_cores, rule="max_cores")
            or _over("cores", total_cores(work), 0 if self.max_cores else implied, rule="max_tasks")
            or _over("GPUs", total_gpus(work), self.max_gpus, rule="max_gpus")
            or _over(
                "MiB of memory per node",
                work.memory_mib_per_node,
                self.max_memory_mib_per_node,
                rule="max_memory_mib_per_node",
            )
        )

    def _choices_refused(self, work: Work) -> str | None:
        if self.allowed_choices is None:
            return None
        chosen = {field: getattr(work, field) for field in CHOICES}
        return next(
            (
                _not_allowed(field, value, self.allowed_choices[field], rule=CHOICES[field])
                for field, value in chosen.items()
                if value and not _is_chosen_from(self.allowed_choices[field], field, value)
            ),
            None,
        )

    def _mounts_refused(self, mounts: tuple[str, ...]) -> str | None:
        if self.allowed_mounts is None:
            return None
        allowed = self.allowed_mounts
        refused = [text for text in mounts if not any(rule.allows(mount_of(text)) for rule in allowed)]
        rules = [rule.text for rule in allowed]
        return _not_allowed("mounts", refused[0], rules, rule="allowed_mounts") if refused else None


def _is_chosen_from(patterns: Collection[str], field: str, value: str) -> bool:
    items = value.split(",") if field in LISTED else [value]
    return all(any(fnmatchcase(item, pattern) for pattern in patterns) for item in items)


def _not_allowed(field: str, value: str, allowed: Collection[str], *, rule: str) -> str:
    places = f"it allows {', '.join(allowed)}" if allowed else "it allows none"
    return on_one_line(f"{field}: this cluster does not allow {value}; {places} ({rule})", longest=LONGEST_REASON)


def _over(what: str, value: int, limit: int, *, rule: str) -> str | None:
    refusal = _above(what, value, limit)
    return f"{refusal} ({rule})" if refusal else None


def _chosen_variables(work: Work) -> list[str]:
    """Without those that tell a member of a sweep of all of it: they are its submitter's choice as its index is."""
    is_member = work.array_index is not None
    return [name for name, value in work.environment.items() if not (is_member and tells_of_array(name, value))]


def _above(what: str, value: int, limit: int) -> str | None:
    return f"{value} {what} are more than the {limit} that this cluster allows" if limit and value > limit else None
