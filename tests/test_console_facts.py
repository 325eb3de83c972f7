"""The page of a cluster shows what it says of itself, as an agent's words."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.facts import Facts, Partition
from clusters.matching import Demand, miss
from clusters.models import Cluster
from jobs.demo.stage import create_demo_data
from jobs.models import Job
from jobs.services.report import report_jobs
from tests.conftest import Member
from tests.support.console import signed_in
from tests.test_facts import FULL

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def vera(db: None) -> Client:
    return signed_in("vera", "viewers")


def page_of(vera: Client, member: Member) -> str:
    return str(vera.get(f"/admin/clusters/cluster/{member.cluster.id}/change/").content.decode())


def told(member: Member, facts: Facts, *, now: datetime) -> None:
    report_jobs(caller=member.puller, agent="login-1", reports=[], facts=facts, now=now)


def test_partitions_and_values_are_shown(vera: Client, alpha: Member, now: datetime) -> None:
    told(alpha, FULL, now=now)

    page = page_of(vera, alpha)

    for shown in ("gpu", "default", "512,000 MiB", "0, 4 a100", "12 hours", "ib", "dark", "no limit"):
        assert shown in page
    for shown in ("imagenet, coco", "geneva", "2.5", "As its agent said"):
        assert shown in page
    assert "told other facts: data, price, racks, site; partition dark; partition gpu" in page


def test_nothing_that_an_agent_says_is_trusted(vera: Client, alpha: Member, now: datetime) -> None:
    hostile = Partition(name=HOSTILE, features=(HOSTILE, "&amp;"), gpus_per_node={HOSTILE: 1})
    told(alpha, Facts(values={"site": HOSTILE, "data": (HOSTILE,)}, partitions=(hostile,)), now=now)

    page = page_of(vera, alpha)

    assert "<script>alert" not in page and "\u202e" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;\\u202e") >= 5
    assert "&amp;amp;" in page


def test_the_longest_facts_are_shown(vera: Client, alpha: Member, now: datetime) -> None:
    many = tuple(Partition(name=f"p{number}", features=("f" * 60,)) for number in range(256))
    told(alpha, Facts(values={f"x{number}": ("v" * 30,) for number in range(256)}, partitions=many), now=now)

    page = page_of(vera, alpha)

    assert "p255" in page and "x255" in page


def test_a_cluster_that_said_nothing_says_so(vera: Client, alpha: Member) -> None:
    assert "Its agent has not said." in page_of(vera, alpha)


def test_the_jobs_of_the_demo_can_run_where_they_are(db: None) -> None:
    create_demo_data(clusters=12, jobs=1_000, now=timezone.now())
    names = list(Demand.__dataclass_fields__)

    facts = {cluster.id: Facts.read(cluster.facts) for cluster in Cluster.objects.all()}

    def missed(job: Any) -> str:
        found = miss(Demand(**{name: getattr(job, name) for name in names}), facts[job.cluster_id])
        return str(found or "")

    assert not [missed(job) for job in Job.objects.all() if missed(job)]
