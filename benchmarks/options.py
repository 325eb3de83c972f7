"""The command line of the benchmarks."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from benchmarks.baseline import BASELINE, COST_TOLERANCE, RATE_TOLERANCE
from benchmarks.comparison import DEFAULT_ENTRIES
from benchmarks.databases import KINDS
from benchmarks.entries import ALONE, ENTRIES


def parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m benchmarks", description="Measures rainbow's server on this machine.")
    parser.add_argument(
        "entries",
        nargs="*",
        metavar="ENTRY",
        type=_entry,
        help=f"{', '.join(ENTRIES)}; default: all but {', '.join(sorted(ALONE))}",
    )
    parser.add_argument("--database", action="append", choices=KINDS, help="default: one after the other")
    parser.add_argument(
        "--transport", choices=("grpcio", "h2corn"), default="grpcio", help="what carries the calls (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=0.4, help="length of one measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated (%(default)s)")
    parser.add_argument(
        "--in-flight", type=_numbers, default=(1, 16, 64, 256), metavar="N,N…", help="calls in flight (1,16,64,256)"
    )
    parser.add_argument(
        "--growth", type=int, default=1_000_000, metavar="JOBS", help="how many jobs fill a database (%(default)s)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=0,
        metavar="N",
        help="how many jobs `agent-jobs` runs (500, 60 on Slurm, 200 on Flux), and `lone-jobs` (20)",
    )
    parser.add_argument(
        "--scheduler",
        action="append",
        choices=("local", "slurm", "flux"),
        help="where `agent-jobs` and `lone-jobs` run them (all that are installed)",
    )
    parser.add_argument(
        "--folder", type=Path, help="where the databases lie for the while; /dev/shm leaves out the disk"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file, too")
    parser.add_argument(
        "--base",
        metavar="REVISION",
        help="run the servers of this revision and of this checkout in turn, and print before and after"
        f" (without ENTRY: {', '.join(DEFAULT_ENTRIES)})",
    )
    _add_other_server(parser)
    _add_baseline(parser)
    return parser


def _add_other_server(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("another server", "Measures only what the original protocol defines, on both.")
    which = group.add_mutually_exclusive_group()
    which.add_argument("--against", metavar="HOST:PORT", help="a server that speaks the protocol, without TLS")
    which.add_argument(
        "--against-command",
        metavar="COMMAND",
        help="starts one in an empty folder, anew for each call; {address} and {secret} are replaced",
    )
    group.add_argument(
        "--registration-secret-file",
        type=Path,
        metavar="FILE",
        help="the registration secret of that at HOST:PORT, on the first line",
    )


def _add_baseline(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the ratios of an earlier run")
    group.add_argument("--check", action="store_true", help="end with exit code 1 where one became worse, and name it")
    group.add_argument("--save-baseline", action="store_true", help="keep those of this run for later ones")
    group.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE", help="where they are (%(default)s)")
    for kind, default in (("rate", RATE_TOLERANCE), ("cost", COST_TOLERANCE)):
        group.add_argument(
            f"--{kind}-tolerance", type=float, default=default, help="how much worse does not count (%(default)s)"
        )


def _entry(name: str) -> str:
    if name not in ENTRIES:
        raise ArgumentTypeError(f"{name!r} is none of {', '.join(ENTRIES)}")
    return name


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if min(numbers) < 1:
        raise ArgumentTypeError("calls in flight are 1 or more")
    return numbers
