"""The course of a demo job: plausible times and an end."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log
from random import Random

from jobs.demo.fleet import WORK, Profile, Work
from jobs.states import JobState, What

_DAY = timedelta(days=1)
_WEEK = 7 * _DAY
# What time of day it is in the demo, whenever it is made, so that each shows the same.
_NOW_OF_DAY = timedelta(hours=16)
_LEASE = timedelta(minutes=5)
_TIME_LIMITS = (3_600, 7_200, 21_600, 86_400)
# Exit code, reason and the last of the output of jobs that fail.
_FAILURES = (
    (1, "", 'Traceback (most recent call last):\n  File "run.py", line 214, in <module>\nValueError: NaN in input\n'),
    (137, "out of memory", "slurmstepd: error: Detected 1 oom_kill event in StepId=81223.0.\n"),
    (124, "the time limit was reached", "step 3911 of 4000\nCANCELLED DUE TO TIME LIMIT\n"),
    (2, "", "make: *** [Makefile:88: check] Error 2\n"),
)
_DRIVER = (1, "", "CUDA error: no CUDA-capable device is detected (error 100)\nnode gpu07: driver mismatch\n")
_OUTPUT = "reading input\nsetup took 3.2 s\nstep 1000 of 4000\nstep 2000 of 4000\nstep 3000 of 4000\ndone\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    at: datetime
    what: What
    state: JobState
    why: str = ""


@dataclass(slots=True, kw_only=True)
class Life:
    profile: Profile
    work: Work
    number: int
    nodes: int
    priority: int
    time_limit_seconds: int
    moments: list[Moment]
    exit_code: int | None = None
    reason: str = ""
    output: str = ""

    @property
    def state(self) -> JobState:
        return self.moments[-1].state

    def when(self, *what: What) -> datetime | None:
        """When it took one of these steps; None if it did not."""
        return next((moment.at for moment in self.moments if moment.what in what), None)

    def step(self, at: datetime, what: What, state: JobState, why: str = "") -> None:
        self.moments.append(Moment(at=at, what=what, state=state, why=why))


def lives(fleet: list[Profile], *, jobs: int, now: datetime, random: Random) -> Iterator[Life]:
    """Jobs of the last week, in the order of their submission."""
    shares = [profile.share for profile in fleet]
    burst = [now - timedelta(minutes=45) * random.random() for _ in range(jobs // 60)]
    times = [(at, random.choices(fleet, shares)[0]) for at in _submissions(jobs - len(burst), now, random)]
    # A parameter study arrives at the first cluster just when it has fallen silent.
    times += [(at, fleet[0]) for at in burst]
    for number, (at, profile) in enumerate(sorted(times, key=lambda pair: pair[0])):
        yield _life(profile, number, at, now, random)


def _submissions(jobs: int, now: datetime, random: Random) -> list[datetime]:
    """More by day than by night."""
    times: list[datetime] = []
    while len(times) < jobs:
        ago = _WEEK * random.random()
        by_day = timedelta(hours=8) <= (_NOW_OF_DAY - ago) % _DAY < timedelta(hours=19)
        if random.random() < (1.0 if by_day else 0.45):
            times.append(now - ago)
    return times


def _life(profile: Profile, number: int, at: datetime, now: datetime, random: Random) -> Life:
    work = random.choice(WORK)
    life = Life(
        profile=profile,
        work=work,
        number=number,
        nodes=min(random.choice(work.nodes), profile.max_nodes * 2),
        priority=random.choice((0, 0, 0, 0, 0, 0, 10, 10, 50, -10)),
        time_limit_seconds=random.choice(_TIME_LIMITS),
        moments=[Moment(at=at, what=What.SUBMITTED, state=JobState.QUEUED)],
    )
    _take(life, _later(at, profile.wait, random), now, random)
    return life


def _take(life: Life, at: datetime, now: datetime, random: Random) -> None:
    if random.random() < 0.02 and (given_up := _later(life.moments[0].at, timedelta(minutes=1), random)) < min(at, now):
        life.step(given_up, What.CANCELLED, JobState.CANCELLED, "submitted by mistake")
        return
    if at > _last_asked(life.profile, now):
        return
    life.step(at, What.ACCEPTED, JobState.ACCEPTED, f"by {life.profile.name}-login1")
    started = at + timedelta(seconds=2 + 240 * random.random())
    if started < now - life.profile.silent_for:
        life.step(started, What.STARTED, JobState.RUNNING)
        _end(life, _later(started, life.work.run, random), now, random)


def _last_asked(profile: Profile, now: datetime) -> datetime:
    return now - max(profile.silent_for, profile.paused_for or profile.silent_for)


def _end(life: Life, at: datetime, now: datetime, random: Random) -> None:
    heard = now - life.profile.silent_for
    if at > heard:
        if life.profile.silent_for > _LEASE:
            lost_at = min(now, heard + _LEASE)
            life.step(lost_at, What.LOST, JobState.LOST, "the agent has not been heard of")
        return
    failing = life.profile.failing_for is not None and at > now - life.profile.failing_for
    if random.random() < (0.66 if failing else life.profile.failures / 1000):
        life.exit_code, life.reason, life.output = _DRIVER if failing else random.choice(_FAILURES)
        life.step(at, What.ENDED, JobState.FAILED, life.reason)
    elif random.random() < 0.012:
        life.reason = "no longer needed"
        life.step(at, What.CANCELLED, JobState.CANCELLED, life.reason)
    else:
        life.exit_code, life.output = 0, _OUTPUT
        life.step(at, What.ENDED, JobState.COMPLETED)


def _later(at: datetime, median: timedelta, random: Random) -> datetime:
    seconds = random.lognormvariate(log(median.total_seconds()), 0.7)
    return at + timedelta(seconds=min(seconds, 86_400))
