"""An agent tells what its cluster has: at its start, when that changed, and never more than a server takes."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clusters.facts as server_facts
import rainbow.facts as client_facts
from clusters.needs import NAME
from grpc_api.rpcs.cluster_messages import facts_from
from rainbow.agent import facts as agent_facts
from rainbow.agent.facts import READ_EVERY, TRY_AGAIN_AFTER, bounded
from rainbow.agent.site_facts import check_site_facts, read_facts_file, told_facts
from rainbow.errors import InvalidArgument
from rainbow.fact_messages import facts_message, read_facts
from rainbow.facts import Facts, Partition, Value
from tests.support import agent_cast
from tests.support.agent_cast import Hire, key
from tests.support.agents import Crew, ScriptedExecutor
from tests.support.commandline import MAIN, Run
from tests.support.patience import PATIENCE_SECONDS
from tests.support.rows import execute
from tests.support.servers import RainbowServer
from tests.support.wire import Remote

hire, scheduler, scripted = agent_cast.hire, agent_cast.scheduler, agent_cast.scripted

BATCH = Partition(name="batch", nodes=4, cores_per_node=8, gpus_per_node={"": 0})
HAS = Facts(values={"scheduler": "scripted"}, partitions=(BATCH,))
LIMITS = ("MAX_VALUES", "MAX_PARTITIONS", "MAX_TEXTS", "MAX_GPU_TYPES", "MAX_TEXT", "MAX_BYTES", "MAX_COUNT",
          "MAX_NUMBER")  # fmt: skip


def column(server: RainbowServer, remote: Remote, name: str) -> Any:
    return execute(server.database_url, f"SELECT {name} FROM clusters_cluster WHERE name = %s", [remote.name])[0][0]


def kept(server: RainbowServer, remote: Remote) -> dict[str, Any]:
    said = column(server, remote, "facts")
    facts: dict[str, Any] = json.loads(said) if isinstance(said, str) else said
    return facts


def values(server: RainbowServer, remote: Remote) -> dict[str, Any]:
    return dict(kept(server, remote).get("values", {}))


def long_since(server: RainbowServer, remote: Remote) -> None:
    """Puts the changes of facts an hour back: the server's clock is the real one, the agent's is not."""
    its_id = "(SELECT id FROM clusters_cluster WHERE name = %s)"
    statement = f"UPDATE clusters_clusterevent SET at = %s WHERE cluster_id = {its_id}"
    execute(server.database_url, statement, [datetime.now(UTC) - timedelta(hours=1), remote.name])


def test_facts_are_told_at_the_start(
    scripted: Crew, scheduler: ScriptedExecutor, server: RainbowServer, remote: Remote
) -> None:
    scheduler.has = HAS

    scripted.work(lambda: kept(server, remote))

    assert kept(server, remote) == {
        "values": {"scheduler": "scripted"},
        "partitions": [{"name": "batch", "nodes": 4, "cores_per_node": 8, "gpus_per_node": {"": 0}}],
    }


def test_facts_are_read_again_after_minutes_and_told_if_they_changed(
    scripted: Crew, scheduler: ScriptedExecutor, server: RainbowServer, remote: Remote
) -> None:
    scheduler.has = HAS
    scripted.work(lambda: kept(server, remote))
    first = column(server, remote, "facts_at")
    long_since(server, remote)
    scheduler.has = Facts(values={"scheduler": "other"})

    scripted.clock.move(READ_EVERY.total_seconds() - 60)
    scripted.work_for(0.3)
    assert values(server, remote) == {"scheduler": "scripted"}
    scripted.clock.move(61)
    scripted.work(lambda: values(server, remote) == {"scheduler": "other"})

    second = column(server, remote, "facts_at")
    scripted.clock.move(READ_EVERY.total_seconds() + 1)
    scripted.work_for(0.3)
    assert first != second == column(server, remote, "facts_at")


def test_facts_that_changed_too_soon_are_told_a_little_later(
    scripted: Crew,
    scheduler: ScriptedExecutor,
    server: RainbowServer,
    remote: Remote,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="rainbow.agent")
    scheduler.has = HAS
    scripted.work(lambda: kept(server, remote))
    scheduler.has = Facts(values={"scheduler": "other"})
    scripted.clock.move(READ_EVERY.total_seconds() + 1)
    scripted.work(lambda: "tells later what the cluster has" in caplog.text)

    long_since(server, remote)
    scripted.clock.move(TRY_AGAIN_AFTER.total_seconds() + 1)

    scripted.work(lambda: values(server, remote) == {"scheduler": "other"})


def test_a_new_agent_tells_them_anew(
    scripted: Crew, scheduler: ScriptedExecutor, server: RainbowServer, remote: Remote
) -> None:
    scheduler.has = HAS
    scripted.work(lambda: kept(server, remote))
    first = column(server, remote, "facts_at")

    scripted.restart()

    scripted.work(lambda: column(server, remote, "facts_at") != first)


def test_what_the_site_says_goes_before_what_its_scheduler_says(
    hire: Hire, scheduler: ScriptedExecutor, server: RainbowServer, remote: Remote
) -> None:
    scheduler.has = Facts(values={"scheduler": "scripted", "arch": "x86_64"})
    agent = hire(executor=scheduler, site_facts={"site": "geneva", "arch": "aarch64"})

    agent.work(lambda: kept(server, remote))

    assert values(server, remote) == {"site": "geneva", "arch": "aarch64", "scheduler": "scripted"}


def test_a_scheduler_that_does_not_answer_is_asked_again_and_holds_up_nothing(
    scripted: Crew,
    scheduler: ScriptedExecutor,
    server: RainbowServer,
    remote: Remote,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler.has = HAS
    scheduler.silent.add("facts")
    jobid = scripted.submit()
    scripted.work(lambda: key(jobid) in scheduler.jobs)
    scripted.work_for(0.2)
    scripted.clock.move(TRY_AGAIN_AFTER.total_seconds() + 1)
    scripted.work_for(0.2)
    assert kept(server, remote) == {}
    assert [record.message for record in caplog.records if "facts" in record.message] == [
        "cannot tell what the cluster has: facts timed out"
    ]

    scheduler.silent.clear()
    scripted.clock.move(TRY_AGAIN_AFTER.total_seconds() + 1)

    scripted.work(lambda: kept(server, remote))


def test_an_error_of_an_executor_is_told_with_its_place(
    scripted: Crew,
    scheduler: ScriptedExecutor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ScriptedExecutor, "facts", lambda _: 1 // 0)
    jobid = scripted.submit()

    scripted.work(lambda: key(jobid) in scheduler.jobs)
    scripted.work_for(0.2)

    (told,) = [record for record in caplog.records if "cannot tell what the cluster has" in record.message]
    assert told.exc_info and told.exc_info[0] is ZeroDivisionError


def test_a_slow_scheduler_is_read_beside_the_rounds(
    scripted: Crew,
    scheduler: ScriptedExecutor,
    server: RainbowServer,
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, asked = Event(), list[int]()
    monkeypatch.setattr(agent_facts, "WAIT_SECONDS", 0.01)

    def facts() -> Facts:
        asked.append(1)
        answers.wait(PATIENCE_SECONDS)
        return HAS

    monkeypatch.setattr(ScriptedExecutor, "facts", lambda _: facts())
    jobid = scripted.submit()
    scripted.work(lambda: key(jobid) in scheduler.jobs)
    scripted.clock.move(timedelta(hours=1).total_seconds())
    scripted.work_for(0.2)
    assert (len(asked), kept(server, remote)) == (1, {})

    answers.set()

    scripted.work(lambda: kept(server, remote))


def test_facts_that_the_server_refuses_hold_up_no_job(
    scripted: Crew,
    scheduler: ScriptedExecutor,
    server: RainbowServer,
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent_facts, "bounded", lambda facts: facts)
    scheduler.has = Facts(values={"site": "a\nb"})
    jobid = scripted.submit()

    scripted.work(lambda: scripted.job(jobid).native_id)
    scheduler.has = HAS
    scripted.clock.move(READ_EVERY.total_seconds() + 1)

    scripted.work(lambda: kept(server, remote))


# Bounds


def test_both_sides_have_the_same_bounds() -> None:
    assert [getattr(client_facts, name) for name in LIMITS] == [getattr(server_facts, name) for name in LIMITS]
    assert client_facts.NAME.pattern == NAME


NASTY = st.text(st.characters(), max_size=300)
COUNTS = st.integers(-5, 2**40)
ANY_PARTITION = st.builds(
    Partition,
    name=NASTY,
    nodes=COUNTS,
    cores_per_node=COUNTS,
    memory_mib_per_node=COUNTS,
    gpus_per_node=st.dictionaries(NASTY, COUNTS, max_size=40),
    longest_seconds=COUNTS,
    max_nodes=COUNTS,
    default=st.booleans(),
    features=st.lists(NASTY, max_size=5).map(tuple),
)
ANY_VALUE: st.SearchStrategy[Value] = st.one_of(
    NASTY, st.integers(-(2**53), 2**53), st.lists(NASTY, max_size=5).map(tuple)
)
ANY_FACTS = st.builds(
    Facts,
    values=st.dictionaries(NASTY | st.sampled_from(["site", "data"]), ANY_VALUE, max_size=5),
    partitions=st.lists(ANY_PARTITION, max_size=4).map(tuple),
)


@given(facts=ANY_FACTS)
def test_whatever_a_scheduler_says_the_server_takes_what_the_agent_makes_of_it(facts: Facts) -> None:
    server_facts.check_facts(facts_from(facts_message(bounded(facts))))


@given(facts=ANY_FACTS)
def test_what_is_within_the_bounds_is_told_as_it_is(facts: Facts) -> None:
    told = bounded(facts)

    assert bounded(told) == told
    assert read_facts(facts_message(told)) == told


def many(count: int, **more: Any) -> Facts:
    return Facts(partitions=tuple(Partition(name=f"p{number % 200}", nodes=1, **more) for number in range(count)))


@pytest.mark.parametrize(
    ("facts", "left"),
    [
        (many(256), 256),
        (many(257), 200),
        (many(400), 200),
        (Facts(partitions=tuple(Partition(name=f"p{number}") for number in range(257))), 0),
        (many(200, features=tuple("f" * 200 + str(number) for number in range(5))), 200),
        (Facts(partitions=tuple(Partition(name=f"{number}" + "p" * 250) for number in range(250))), 0),
    ],
)
def test_of_too_much_less_is_told(facts: Facts, left: int) -> None:
    told = bounded(facts)

    server_facts.check_facts(facts_from(facts_message(told)))
    assert len(told.partitions) == left


def test_nodes_that_are_no_longer_told_apart_have_the_most_of_everything() -> None:
    small = Partition(name="p0", nodes=2, cores_per_node=4, gpus_per_node={"": 0}, longest_seconds=60, max_nodes=2)
    large = Partition(name="p0", nodes=3, cores_per_node=8, gpus_per_node={"a100": 4}, longest_seconds=60)
    facts = Facts(partitions=(small, large, *many(256).partitions[1:]))

    first = bounded(facts).partitions[0]

    assert first == Partition(
        name="p0", nodes=6, cores_per_node=0, gpus_per_node={"": 0, "a100": 4}, longest_seconds=0, max_nodes=0
    )


# What the site says


def test_facts_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.toml"
    file.write_text('site = "geneva"\nracks = 12\nprice = 2.5\npublic = false\ndata = ["imagenet", "coco", "coco"]\n')

    assert read_facts_file(file) == {
        "site": "geneva",
        "racks": 12,
        "price": 2.5,
        "public": "false",
        "data": ("imagenet", "coco"),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("site =", "is not valid TOML"),
        ("[site]\nname = 'x'", "site: must be a number, a string, true, false or an array of strings"),
        ("data = [1]", "data: must be a number"),
        ("'a b' = 1", "'a b': must be 1 to 63 letters"),
        ('site = "a\\nb"', "site: must not contain control characters"),
        ("site = inf", "site: must be a number from"),
        ("site = nan", "site: must be a number from"),
        (f"site = '{'x' * 256}'", "site: must be at most 255 characters, not 256"),
        ("data = ['']", "data: must not have empty texts"),
        ("\n".join(f"x{number} = 1" for number in range(129)), "there may be 128 facts, not 129"),
        (f"data = {[str(number) * 60 for number in range(1000)]}", "facts may have 32,768 bytes in all"),
    ],
)
def test_a_file_that_says_no_facts_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "facts.toml"
    file.write_text(text)

    with pytest.raises(InvalidArgument) as refused:
        read_facts_file(file)

    assert str(file) in str(refused.value) and complaint in str(refused.value)


def test_facts_of_a_command_line() -> None:
    pairs = [("site", "geneva"), ("racks", "12"), ("price", "2.5"), ("zip", "007"), ("data", "a"), ("data", "b")]

    assert told_facts(pairs) == {"site": "geneva", "racks": 12, "price": 2.5, "zip": "007", "data": ("a", "b")}
    assert told_facts([("odd", "inf"), ("big", "1e400"), ("long", "9" * 30)]) == {
        "odd": "inf",
        "big": "1e400",
        "long": "9" * 30,
    }


def test_facts_that_a_site_may_say_fit_whatever_its_scheduler_says() -> None:
    site = check_site_facts({f"x{number}": "v" * 200 for number in range(128)})
    told = bounded(Facts(values=site, partitions=many(256, features=("f" * 200,)).partitions))

    assert told.values == site and len(told.partitions) == 256


def test_an_agent_of_the_command_line_tells_them(
    rainbow: Run, server: RainbowServer, remote: Remote, tmp_path: Path
) -> None:
    file = tmp_path / "facts.toml"
    file.write_text('site = "geneva"\ndata = ["imagenet"]\n')
    words = ["--executor", "local", "--slots", "2", "--state-dir", str(tmp_path / "state"), "--once"]
    facts = ["--facts", str(file), "--fact", "site=lyon", "--fact", "software=gromacs-2026"]

    subprocess.run([*MAIN, "agent", *words, *facts], check=True, timeout=PATIENCE_SECONDS)

    said = values(server, remote)
    assert (said["site"], said["data"], said["software"]) == ("lyon", ["imagenet"], "gromacs-2026")
    assert (said["scheduler"], said["cores"]) == ("local", 2)


def test_a_fact_without_a_name_is_refused_by_its_option(rainbow: Run, tmp_path: Path) -> None:
    result = rainbow("agent", "--executor", "local", "--state-dir", str(tmp_path), "--fact", "1x=2")

    assert result.exit_code == 2
    assert "--fact '1x': must be 1 to 63 letters" in result.output
