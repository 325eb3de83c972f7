"""The outcome of a case, and its goal."""

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.abuse.honest import Waited

HEAD = ("case", "calls", "p50 ms", "p99 ms", "failed", "MiB before", "peak", "after", "goal")
# Shared machines stall: only what misses its goal by this factor fails a run.
_FAR = 6
_FAR_MEMORY = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    p99_ms: float = 250
    mib: float = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    case: str
    waited: Waited
    before: float
    peak: float
    after: float
    goal: Goal = field(default_factory=Goal)

    @property
    def is_far_off(self) -> bool:
        late = self._p99_ms > _FAR * self.goal.p99_ms
        return late or self.peak > _FAR_MEMORY * self.goal.mib or not self.after

    @property
    def row(self) -> list[str]:
        waited, goal = self.waited, self.goal
        met = self._p99_ms <= goal.p99_ms and self.peak <= goal.mib and self.after
        verdict = "FAILED" if self.is_far_off else "met" if met else "missed"
        return [
            self.case,
            f"{len(waited.seconds)}",
            f"{waited.quantile(0.5) * 1000:.1f}",
            f"{self._p99_ms:.1f}",
            ", ".join(f"{number} {code}" for code, number in Counter(waited.failures).items()) or "-",
            f"{self.before:.0f}",
            f"{self.peak:.0f}",
            f"{self.after:.0f}" if self.after else "DEAD",
            f"{goal.p99_ms:,.0f} ms, {goal.mib:,.0f} MiB: {verdict}",
        ]

    @property
    def _p99_ms(self) -> float:
        return self.waited.quantile(0.99) * 1000
