"""`manage.py pool`."""

import json
import subprocess
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from clusters.callers import Claim
from clusters.models import Cluster
from clusters.services.authenticate import admit
from clusters.services.events import list_events
from clusters.services.pause import note_readiness, pause_cluster
from jobs.services.pools import Member, members_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.pools import pool_of
from tests.support.queue import submitted
from tests.support.servers import MANAGE, environment_for


def pool(*words: str) -> str:
    out = StringIO()
    call_command("pool", *words, stdout=out)
    return out.getvalue()


def test_a_pool_is_made_and_its_token_printed_once(alpha: Any, beta: Any) -> None:
    told = pool("create", "big", "beta", "alpha:300", "--reason", "for all")

    made, token = told.splitlines()
    assert made == "Made big. Its token, which is shown only now:"
    assert admit(Claim(value=token), now=timezone.now()).cluster == "big"
    stored = Cluster.objects.get(name="big")
    assert members_of(stored) == [Member(cluster="beta"), Member(cluster="alpha", after_seconds=300)]
    (event,) = list_events(cluster_id=stored.id, most=10)
    assert (event.who, event.why) == ("the server", "beta, alpha after 300 s: for all")
    assert token not in pool("show", "big") + pool("list") + pool("show", "big", "--json") + pool("list", "--json")


def test_a_pool_is_changed(alpha: Any, beta: Any) -> None:
    pool("create", "big", "beta")

    assert pool("set", "big", "alpha", "beta:60") == "Changed big.\n"
    assert pool("set", "big", "alpha", "beta:60") == "big was so before.\n"

    assert members_of(Cluster.objects.get(name="big")) == [
        Member(cluster="alpha"),
        Member(cluster="beta", after_seconds=60),
    ]


def test_tables_tell_what_waits_and_who_takes_jobs(alpha: Any, beta: Any, mallory: Any, now: datetime) -> None:
    big = pool_of("alpha", Member(cluster="beta", after_seconds=1_200), "mallory", now=now)
    pool_of("alpha", name="small", now=now)
    submitted(big, 2, now=now)
    pause_cluster(cluster_id=beta.cluster.id, reason="maintenance", by=None, now=now)
    note_readiness(cluster_id=mallory.cluster.id, not_ready="no \u202edisk")
    pause_cluster(cluster_id=big.cluster.id, reason="full", by=None, now=now)

    assert pool("list").splitlines() == [
        "POOL   WAITING  LAST ASKED  STATE         CLUSTERS",
        "big    2        never       paused: full  alpha, beta:1200, mallory",
        "small  0        never                     alpha",
    ]
    assert pool("show", "big").splitlines() == [
        "CLUSTER  AFTER    LAST ASKED  STATE",
        "alpha    0 s      never",
        "beta     1,200 s  never       paused: maintenance",
        "mallory  0 s      never       no \\u202edisk",
    ]


def test_json_is_for_programs(alpha: Any, now: datetime) -> None:
    made = json.loads(pool("create", "big", "alpha:5", "--json"))

    assert made.pop("token").startswith("rbt_")
    assert made == {
        "name": "big",
        "members": [{"cluster": "alpha", "after_seconds": 5}],
        "waiting": 0,
        "last_asked_at": None,
        "paused_reason": "",
    }
    assert json.loads(pool("show", "big", "--json")) == made
    assert json.loads(pool("list", "--json")) == [made]


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["create", "alpha", "beta"], "name: a cluster or a pool has this name"),
        (["create", "other", "gamma"], "members: there is no cluster 'gamma'"),
        (["create", "other", "alpha:86401"], "after_seconds: must be 0 to 86,400"),
        (["create", "other", "alpha:x"], "must be CLUSTER or CLUSTER:SECONDS, not 'alpha:x'"),
        (["create", "other", "alpha:"], "must be CLUSTER or CLUSTER:SECONDS"),
        (["create", "other", "alpha:" + "9" * 5_000], "must be CLUSTER or CLUSTER:SECONDS"),
        (["create", "other"], "the following arguments are required"),
        (["set", "alpha", "beta"], "there is no pool 'alpha'"),
        (["show", "gamma"], "there is no pool 'gamma'"),
        ([], "the following arguments are required"),
    ],
)
def test_what_is_wrong_is_told(alpha: Any, beta: Any, words: list[str], refusal: str) -> None:
    with pytest.raises(CommandError, match=refusal.replace("'", ".").replace("(", ".")):
        pool(*words)

    assert not Cluster.objects.filter(pool=True).exists()


def test_the_command_ends_with_1_and_one_line_where_it_is_refused(new_database: Callable[[], str]) -> None:
    url = new_database()

    done = subprocess.run(
        [*MANAGE, "pool", "show", "big"],
        env=environment_for(url),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "CommandError: there is no pool 'big'\n")
