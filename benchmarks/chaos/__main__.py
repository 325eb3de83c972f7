"""python -m benchmarks.chaos [WORDS]: faults on a fleet, those whose names have one of the words, or all."""

import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.chaos.database import database
from benchmarks.chaos.faults import FAULTS, Fault
from benchmarks.chaos.fleet import Size, fleet
from benchmarks.chaos.ledger import Verdict, lost_jobs, read_calls
from benchmarks.chaos.run import CALM, run
from benchmarks.machine import describe_machine

HEADING = ("fault", "acknowledged", "lost", "run twice", "failed calls", "answers again after", "p99 meanwhile")


def main() -> int:
    # So that what was mounted is unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began, size = time.monotonic(), Size()
    wanted = [fault for fault in FAULTS if not sys.argv[1:] or any(word in fault.name for word in sys.argv[1:])]
    with TemporaryDirectory(prefix="rainbow-chaos-") as folder, database() as found:
        print("; ".join(f"{name}: {value}" for name, value in describe_machine(Path(folder)).items()))
        with fleet(found, Path(folder), size) as running:
            missing = {fault.name: why for fault in wanted if (why := fault.missing(running))}
            verdicts = run(running, [fault for fault in wanted if fault.name not in missing])
            unfinished, ended = running.unfinished(), running.ended_agents()
            completed = running.completed()
            lost = len(lost_jobs(read_calls(running.calls), completed=completed))
            twice = sum(number > 1 for number in running.starts().values())
    _show(wanted, verdicts, missing)
    print(f"\n2 servers, {size.submitters} submitters, {size.agents} agents")
    print(f"{len(completed):,} jobs completed, {lost} lost, {twice} run twice, those between the faults included")
    for job in unfinished:
        print(f"not completed: {job}")
    if ended:
        print(f"{ended} agents ended")
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if not (lost or twice) and all(verdict.is_good for verdict in verdicts.values()) else 1


def _show(faults: list[Fault], verdicts: dict[str, Verdict], missing: dict[str, str]) -> None:
    print(f"\n| {' | '.join(HEADING)} |\n|{' --- |' * len(HEADING)}")
    for name, verdict in verdicts.items():
        print(f"| {' | '.join(_cells(name, verdict))} |")
    for name, why in missing.items():
        print(f"| {name} | left out: {why} |{' |' * (len(HEADING) - 2)}")
    print()
    for fault in faults:
        print(f"- {fault.name}: {fault.did}")


def _cells(name: str, verdict: Verdict) -> list[str]:
    return [
        name,
        f"{verdict.acknowledged:,}",
        str(verdict.lost),
        str(verdict.twice),
        str(verdict.failed_calls),
        "" if name == CALM else f"{verdict.recovery_seconds:.1f} s",
        f"{verdict.p99_seconds:.2f} s",
    ]


if __name__ == "__main__":
    sys.exit(main())
