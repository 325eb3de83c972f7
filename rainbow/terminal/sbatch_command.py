"""`rainbow sbatch`: options of sbatch and a few of rainbow's own, up to the script; what follows is the script's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import click

from rainbow.errors import RainbowError
from rainbow.slurm_commands.command_line import Option, Said, Takes, parse
from rainbow.slurm_commands.sbatch_options import BY_NAME, OPTIONS, Fate

SAID = "rainbow.sbatch"
_OF_GPUS = ("gpus-per-task", "gpus-per-node", "gpus", "gres")
OPTIONS_OF_FIELDS = {
    "after": ("dependency",),
    "array_index": ("array",),
    "constraint": ("constraint",),
    "cores_per_task": ("cpus-per-task",),
    "environment": ("export",),
    "gpu_type": _OF_GPUS,
    "gpus_per_task": _OF_GPUS,
    "labels": ("comment", "wckey"),
    "memory_mib_per_node": ("mem", "mem-per-cpu", "mem-per-gpu"),
    "name": ("job-name",),
    "nodes": ("nodes", "ntasks", "ntasks-per-node"),
    "tasks": ("ntasks", "ntasks-per-node"),
    "time_limit_seconds": ("time",),
    "working_directory": ("chdir",),
}
METAVARS = {Takes.NOTHING: "", Takes.VALUE: " VALUE", Takes.PERHAPS: "[=VALUE]"}


class SbatchCommand(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:
            return super().parse_args(ctx, [])
        own = [option for param in self.get_params(ctx) if isinstance(param, click.Option) for option in _known(param)]
        said, words = parse(args, [*OPTIONS, *own])
        ctx.meta[SAID] = [(name, value) for name, value in said if name in BY_NAME]
        names = {option.name: option.takes for option in own}
        typed = [_as_typed(name, value, names[name]) for name, value in said if name in names]
        return super().parse_args(ctx, [*typed, "--", *words])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Options of sbatch"):
            formatter.write_dl([(_form(option), option.text) for option in OPTIONS if option.fate is Fate.TRANSLATED])
        with formatter.section("Options of rainbow"):
            params = [param.get_help_record(ctx) for param in self.get_params(ctx)]
            formatter.write_dl([record for record in params if record])


def said_of_sbatch(ctx: click.Context) -> Sequence[Said]:
    said: Sequence[Said] = ctx.meta[SAID]
    return said


@contextmanager
def as_said(options: Mapping[str, str]) -> Iterator[None]:
    """Failures name the option of sbatch that said what a field has."""
    try:
        yield
    except RainbowError as error:
        said = (name for name in OPTIONS_OF_FIELDS.get(error.field, ()) if name in options)
        error.field = next((f"--{name}" for name in said), error.field)
        raise


def _known(param: click.Option) -> list[Option]:
    takes = Takes.NOTHING if param.is_flag else Takes.VALUE
    names = [*param.opts, *param.secondary_opts]
    letters = [name[1:] for name in names if not name.startswith("--")]
    longs = [name[2:] for name in names if name.startswith("--")]
    return [Option(name=name, short="".join(letters), takes=takes) for name in longs]


def _as_typed(name: str, value: str, takes: Takes) -> str:
    return f"--{name}" if takes is Takes.NOTHING else f"--{name}={value}"


def _form(option: Option) -> str:
    name = f"-{option.short}, --{option.name}" if option.short else f"--{option.name}"
    return name + METAVARS[option.takes]
