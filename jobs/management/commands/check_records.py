"""manage.py check_records: finds records that do not agree with one another."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from jobs.queries.checks.allowances import wrong_allowances
from jobs.queries.checks.counts import clusters, group_ranges, wrong_counts, wrong_group_counts
from jobs.queries.checks.finding import Finding, Range, ranges_of
from jobs.queries.checks.histories import JOBS, histories, labels
from jobs.queries.checks.rows import MISPLACED, UNPLACED, row_checks
from jobs.services.mend import mend_allowances, mend_counts, mend_group_counts, mend_queues
from rainbow_site.process.schema import NOT_UP_TO_DATE, up_to_date

_MENDABLE = ("counters", "queues")


class Command(BaseCommand):
    help = (
        "Finds records that do not agree with one another: jobs and their events, counters, queues, leases, "
        "references. It reads a thousand rows at a time, beside running servers. Ends with 1 if there are findings."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print each finding as an object of JSON, one a line")
        parser.add_argument(
            "--mend",
            action="append",
            default=[],
            choices=_MENDABLE,
            help="correct counters, or put waiting jobs into their queues; may be given twice",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not up_to_date():
            raise CommandError(NOT_UP_TO_DATE)
        number = 0
        for finding in _findings(options["mend"]):
            number += 1
            self.stdout.write(_as_json(finding) if options["json"] else _as_line(finding))
        if number:
            sys.exit(1)
        if not options["json"]:
            self.stdout.write("The records agree with one another.")


def _findings(mend: Iterable[str]) -> Iterator[Finding]:
    yield from _of_jobs(histories)
    yield from _of_jobs(labels)
    for findings in _of_rows():
        if "queues" in mend:
            _mend_queues(findings)
        yield from findings
    for cluster_id, name in clusters():
        wrong = wrong_counts(cluster_id)
        if wrong and "counters" in mend:
            wrong = mend_counts(cluster_id=cluster_id)
        yield from (one.finding(name) for one in wrong)
    for groups in group_ranges():
        in_groups = wrong_group_counts(groups)
        if in_groups and "counters" in mend:
            in_groups = mend_group_counts(groups=groups)
        yield from (one.finding for one in in_groups)
    of_people = wrong_allowances()
    if of_people and "counters" in mend:
        of_people = mend_allowances()
    yield from (one.finding for one in of_people)


def _of_jobs(check: Callable[[Range], Iterator[Finding]]) -> Iterator[Finding]:
    for ids in ranges_of(JOBS):
        yield from check(ids)


def _of_rows() -> Iterator[list[Finding]]:
    for check in row_checks():
        for ids in ranges_of(check.table):
            yield list(check.findings(ids, now=timezone.now()))


def _mend_queues(findings: Iterable[Finding]) -> None:
    if job_ids := [one.row for one in findings if one.table == JOBS and one.says in (UNPLACED, MISPLACED)]:
        mend_queues(job_ids=job_ids, now=timezone.now())


def _as_line(finding: Finding) -> str:
    return f"{finding.table} {finding.row}: {finding.says}"


def _as_json(finding: Finding) -> str:
    return json.dumps(asdict(finding))
