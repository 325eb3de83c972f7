"""python -m benchmarks.drill [JOBS]: the drill of tests/support/drill.py on each database, with its figures."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.databases import KINDS
from tests.support.drill import AGENTS, CLUSTERS, Drill, Outcome
from tests.support.servers import MANAGE

JOBS = 20_000


def main() -> int:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    passed = [_run(database, jobs) for database in KINDS]
    return 0 if all(passed) else 1


def _run(database: str, jobs: int) -> bool:
    with TemporaryDirectory(prefix="rainbow-drill-") as folder, KINDS[database](Path(folder), MANAGE) as databases:
        began = time.monotonic()
        outcome = Drill(databases.new(), Path(folder)).run(jobs)
        print(f"{database}: {_in_words(outcome)} in {time.monotonic() - began:.0f} s", flush=True)
    return outcome.each_started_once


def _in_words(outcome: Outcome) -> str:
    repeated = sum(number > 1 for number in outcome.starts.values())
    return (
        f"{AGENTS} agents of {CLUSTERS} clusters, {len(outcome.job_ids):,} jobs; killed {outcome.killed['servers']} "
        f"servers and {outcome.killed['agents']} agents; {len(outcome.starts):,} jobs started, {repeated:,} of them "
        f"more than once; {outcome.left:,} are not completed"
    )


if __name__ == "__main__":
    sys.exit(main())
