"""What the duties of a round find without looking at all held jobs is what they would find among all."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rainbow.agent.held_index import HeldIndex
from rainbow.agent.held_job import HeldJob
from rainbow.agent.job_reports import report_of
from rainbow.agent.journal import Entry
from rainbow.agent.states import IN_SCHEDULER, Desired, Stage
from rainbow.specs import Work

BEGIN = datetime(2027, 1, 1, tzinfo=UTC)
JOBS = 4
NUMBERS = st.integers(0, JOBS - 1)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("stage"), NUMBERS, st.sampled_from(Stage)),
        st.tuples(st.just("desired"), NUMBERS, st.sampled_from(Desired)),
        st.tuples(st.just("renewed_at"), NUMBERS, st.one_of(st.none(), st.integers(0, 60))),
        st.tuples(st.just("waiting_reason"), NUMBERS, st.sampled_from(["", "others"])),
        st.tuples(st.just("counted"), NUMBERS, st.none()),
        st.tuples(st.just("removed"), NUMBERS, st.none()),
        st.tuples(st.just("looked"), st.just(0), st.integers(0, 60)),
    ),
    max_size=40,
)


def held(number: int) -> HeldJob:
    work = Work(command="true", start_within_seconds=60 * (number % 2))
    return HeldJob(entry=Entry(jobid=number, attempt=1, work=work), stage=Stage.ACCEPTED)


def moment(seconds: int) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def is_due(job: HeldJob, until: datetime) -> bool:
    changed = job.looks != job.last_looks and report_of(job) != job.last_report
    return job.renewed_at is None or job.renewed_at <= until or changed


def change(index: HeldIndex, jobs: dict[int, HeldJob], name: str, number: int, value: object) -> None:
    if name == "looked":
        looked(index, jobs, moment(int(str(value))))
    elif number not in jobs:
        return
    elif name == "removed":
        index.remove(jobs.pop(number))
    elif name == "counted":
        jobs[number].last_report, jobs[number].last_looks = report_of(jobs[number]), jobs[number].looks
    elif name == "renewed_at":
        jobs[number].renewed_at = moment(value) if isinstance(value, int) else None
    else:
        setattr(jobs[number], name, value)


def looked(index: HeldIndex, jobs: dict[int, HeldJob], until: datetime) -> None:
    """As the reporter does: what is due is among the news, and the rest is put away."""
    news = index.news(until)
    due = {number for number, job in jobs.items() if is_due(job, until)}
    assert due <= {job.entry.jobid for job in news}
    for job in news:
        if not is_due(job, until):
            index.no_news(job)


@given(made=CHANGES)
def test_each_part_has_the_jobs_that_belong_to_it_whatever_changes(made: list[tuple[str, int, object]]) -> None:
    index, jobs = HeldIndex(), {number: held(number) for number in range(JOBS)}
    for job in jobs.values():
        index.add(job)
    # The clock may be set back.
    for name, number, value in made:
        change(index, jobs, name, number, value)

    left = list(jobs.values())
    for stage in Stage:
        assert {job.key for job in index.in_stages((stage,))} == {job.key for job in left if job.stage is stage}
    assert index.count(IN_SCHEDULER) == sum(job.is_in_scheduler for job in left)
    assert {job.key for job in index.unwanted()} == {job.key for job in left if job.desired is not Desired.RUN}
    assert {job.key for job in index.impatient()} == {job.key for job in left if job.entry.jobid % 2}
    unconfirmed = [job for job in left if job.last_report is None and job.desired is not Desired.ABANDON]
    assert index.is_reconciled() == (not unconfirmed and not any(job.is_in_doubt for job in left))
    looked(index, jobs, moment(60))


def test_of_jobs_without_news_none_is_looked_at() -> None:
    index, jobs = HeldIndex(), {number: held(number) for number in range(JOBS)}
    for number, job in jobs.items():
        index.add(job)
        change(index, jobs, "counted", number, None)
        job.renewed_at = moment(number)
    looked(index, jobs, moment(-1))

    assert index.news(moment(-1)) == []
    assert [job.entry.jobid for job in index.news(moment(1))] == [0, 1]


def test_a_heartbeat_is_due_again_after_the_clock_was_set_back() -> None:
    index, job = HeldIndex(), held(1)
    index.add(job)
    change(index, {1: job}, "counted", 1, None)
    job.renewed_at = moment(10)

    assert index.news(moment(10)) == [job]
    looked(index, {1: job}, moment(5))
    assert index.news(moment(5)) == []
    assert index.news(moment(10)) == [job]


def test_what_came_into_the_scheduler_is_told_until_it_was_polled() -> None:
    index, job = HeldIndex(), held(1)
    index.add(job)
    assert not index.has_arrived()

    job.stage = Stage.SUBMITTED
    arrived = index.has_arrived()
    index.arrivals_seen()
    job.stage = Stage.RUNNING

    assert arrived
    assert not index.has_arrived()
