"""The ratios of an earlier run, and what is worse now."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row
from benchmarks.report import Report

BASELINE = Path(__file__).with_name("baseline.json")
# On shared machines, ratios of one run differ by a third from those of the next.
COST_TOLERANCE, RATE_TOLERANCE = 0.5, 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one row, as ratios to its yardstick: the rate, and the processor time of a call (0: not known)."""

    rate: float
    cost: float


# By database, entry, contender and calls in flight, as `sqlite/verbs/SubmitJob/64`.
Ratios = dict[str, Figures]


def usual(row: Row) -> Figures:
    return Figures(rate=round(row.ratio, 3), cost=round(median(row.cost_ratios), 3))


def best(row: Row) -> Figures:
    """The best of the rounds, which are compared: a busy machine spoils single rounds."""
    return Figures(rate=max(row.ratios), cost=min(row.cost_ratios))


def ratios_of(found: Mapping[str, Mapping[str, Report]], figures: Callable[[Row], Figures]) -> Ratios:
    """By database and entry. All but those of the yardsticks themselves, which are 1."""
    return {
        f"{database}/{entry}/{row.name}/{row.in_flight}": figures(row)
        for database, reports in found.items()
        for entry, report in reports.items()
        for row in report.rows
        if row.samples is not row.yardstick
    }


def regressions(now: Ratios, before: Ratios, *, rate_tolerance: float, cost_tolerance: float) -> Iterable[str]:
    """What became worse by more than the tolerances (0 to 1), of what both runs measured."""
    for name in sorted(now.keys() & before.keys()):
        if now[name].rate < before[name].rate * (1 - rate_tolerance):
            yield f"{name}: {now[name].rate:.2f} of its yardstick's rate, before {before[name].rate:.2f}"
        if before[name].cost and now[name].cost * (1 - cost_tolerance) > before[name].cost:
            yield f"{name}: {now[name].cost:.2f} times its yardstick's CPU, before {before[name].cost:.2f}"


def save(path: Path, about: Mapping[str, Any], ratios: Ratios) -> None:
    """Writes one line for each row, beside those of other rows that are there."""
    kept = load(path) if path.exists() else {}
    lines = [
        f"    {json.dumps(name)}: {json.dumps(asdict(figures))}" for name, figures in sorted({**kept, **ratios}.items())
    ]
    head = json.dumps({"about": about}, indent=2).removesuffix("\n}")
    path.write_text(head + ',\n  "ratios": {\n' + ",\n".join(lines) + "\n  }\n}\n")


def load(path: Path) -> Ratios:
    return {name: Figures(**figures) for name, figures in json.loads(path.read_text())["ratios"].items()}
