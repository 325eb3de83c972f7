"""What counts where an option is said in several places: the command line, then variables, then the script."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rainbow.errors import InvalidArgument
from rainbow.slurm_commands.command_line import Said, Takes, parse
from rainbow.slurm_commands.sbatch_options import BY_NAME, BY_VARIABLE, OPTIONS, Fate

# One of these said in a place goes before the others of its line in the places behind it.
APART = (
    frozenset({"mem", "mem-per-cpu", "mem-per-gpu"}),
    frozenset({"requeue", "no-requeue"}),
)
# Settings of sbatch itself that have no option, or are for commands within a job.
_BESIDE = frozenset({"SBATCH_WAIT4SWITCH", "SBATCH_MEM_BIND_LIST", "SBATCH_MEM_BIND_PREFER", "SBATCH_MEM_BIND_TYPE",
                     "SBATCH_MEM_BIND_VERBOSE", "SBATCH_GPU_BIND_TYPE"})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The value of each option that counts, and warnings of what is left out."""

    options: Mapping[str, str]
    warnings: tuple[str, ...]


def asked(*, typed: Sequence[Said], environment: Mapping[str, str], in_script: Sequence[str]) -> Asked:
    """Raises InvalidArgument for an option that is refused, is unknown, or has no value."""
    from_script, more = parse(in_script, OPTIONS)
    if more:
        raise InvalidArgument(f"#SBATCH lines have words that belong to no option: {' '.join(more)}")
    found: dict[str, str] = {}
    for layer in (from_script, _from_variables(environment), typed):
        found = _over(found, layer)
    _refuse(found)
    left_out = [
        f"{BY_NAME[name].spelled} is left out: {BY_NAME[name].text}"
        for name, value in found.items()
        if BY_NAME[name].fate is Fate.LEFT_OUT and value.upper() != "NONE"
    ]
    return Asked(options=found, warnings=(*left_out, *_unknown_variables(environment)))


def _over(found: Mapping[str, str], layer: Iterable[Said]) -> dict[str, str]:
    said = dict(layer)
    replaced = {name for group in APART if group & said.keys() for name in group}
    return {**{name: value for name, value in found.items() if name not in replaced}, **said}


def _from_variables(environment: Mapping[str, str]) -> Iterator[Said]:
    """One that is empty counts for an option that takes no value, as sbatch has it."""
    for variable, option in BY_VARIABLE.items():
        value = environment.get(variable)
        if value or (value is not None and option.takes is not Takes.VALUE):
            yield option.name, value if option.takes is not Takes.NOTHING else ""


def _refuse(found: Mapping[str, str]) -> None:
    for name in found:
        if BY_NAME[name].fate is Fate.REFUSED:
            raise InvalidArgument(f"{BY_NAME[name].spelled} cannot be translated: {BY_NAME[name].text}")


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    known = BY_VARIABLE.keys() | _BESIDE
    return [
        f"{name} is left out: no option of sbatch has this variable"
        for name in sorted(environment)
        if name.startswith("SBATCH_") and name not in known
    ]
