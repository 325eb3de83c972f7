"""An entry's findings, as a table and as JSON."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.measure import Row, Sample

# From this share of a core on, the load generator may have been the limit.
_BUSY_LOAD = 0.8
_NOT_KNOWN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`yardstick` names what `of …` compares with. Failures are what makes a run's figures worthless.

    `forgiven` names rows whose failed calls are none of our failures; `figures` has what is no row.
    """

    title: str
    yardstick: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    forgiven: Sequence[str] = ()
    figures: Mapping[str, float] = field(default_factory=dict)

    def row(self, name: str, in_flight: int) -> Row | None:
        return next((row for row in self.rows if (row.name, row.in_flight) == (name, in_flight)), None)


_Column = tuple[str, Callable[[Row], str]]


def as_text(report: Report) -> str:
    columns = _columns(report)
    cells = [[title for title, _ in columns], *([write(row) for _, write in columns] for row in report.rows)]
    lines = [report.title, "", *table(cells), ""]
    lines += [f"- {note}" for note in (*report.notes, *_disturbances(report.rows))]
    lines += [f"- FAILED: {failure}" for failure in failures_of(report)]
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, Any]:
    rows = [
        {
            "name": row.name,
            "in_flight": row.in_flight,
            "jobs": row.jobs,
            "rate": row.middle(lambda sample: sample.rate),
            "ratio": row.ratio,
            "cost_ratio": median(row.cost_ratios),
            "p50": row.middle(lambda sample: sample.p50),
            "p99": row.middle(lambda sample: sample.p99),
            "server_time_per_call": row.middle(_server_time_per_call),
            "samples": [asdict(sample) for sample in row.samples],
        }
        for row in report.rows
    ]
    return {
        "title": report.title,
        "yardstick": report.yardstick,
        "rows": rows,
        "figures": dict(report.figures),
        "notes": report.notes,
        "failures": failures_of(report),
    }


def failures_of(report: Report) -> list[str]:
    failed = [row for row in report.rows if row.failed and row.name not in report.forgiven]
    return [*report.failures, *(f"{row.failed} of {row.name}, {row.in_flight} in flight" for row in failed)]


def table(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of Markdown. The first column is text, the others are figures."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, *body = [
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in cells
    ]
    rule = "| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |"
    return [head, rule, *body]


def _columns(report: Report) -> list[_Column]:
    columns: list[_Column] = [
        ("call", lambda row: row.name),
        ("in flight", lambda row: f"{row.in_flight}"),
        ("calls/s", lambda row: f"{row.middle(lambda sample: sample.rate):,.0f}"),
    ]
    if any(row.jobs > 1 for row in report.rows):
        columns.append(("jobs/s", _jobs_rate))
    columns += [
        ("from-to", _range),
        (f"of {report.yardstick}", lambda row: f"{row.ratio:.2f}"),
        ("p50 ms", lambda row: f"{row.middle(lambda sample: sample.p50) * 1000:.2f}"),
        ("p99 ms", lambda row: f"{row.middle(lambda sample: sample.p99) * 1000:.2f}"),
        ("server CPU s/1k", lambda row: _per_thousand(row.middle(_server_time_per_call))),
    ]
    if any(sample.database_time for row in report.rows for sample in row.samples):
        columns.append(("database CPU s/1k", lambda row: _per_thousand(row.middle(_database_time_per_call))))
    columns.append(("load", _load))
    return columns


def _jobs_rate(row: Row) -> str:
    return f"{row.middle(lambda sample: sample.rate * row.jobs):,.0f}" if row.jobs else _NOT_KNOWN


def _range(row: Row) -> str:
    rates = [sample.rate for sample in row.samples]
    return f"{min(rates):,.0f}-{max(rates):,.0f}"


def _per_thousand(seconds: float) -> str:
    return f"{seconds * 1000:.3f}" if seconds else _NOT_KNOWN


def _load(row: Row) -> str:
    share = row.middle(lambda sample: sample.load_time / sample.seconds)
    return f"{share:.0%}" + (" (!)" if share >= _BUSY_LOAD else "")


def _server_time_per_call(sample: Sample) -> float:
    return sample.server_time / (sample.calls + sample.failed)


def _database_time_per_call(sample: Sample) -> float:
    return sample.database_time / (sample.calls + sample.failed)


def _disturbances(rows: Sequence[Row]) -> Iterable[str]:
    samples = [sample for row in rows for sample in row.samples]
    available = sum(sample.seconds for sample in samples) * (os.cpu_count() or 1)
    others = sum(sample.others_time for sample in samples) / available
    stolen = sum(sample.stolen_time for sample in samples) / available
    yield f"meanwhile the rest of the machine used {others:.0%} of the processors, other machines {stolen:.0%}"
