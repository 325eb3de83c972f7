"""Who sees what in the operators' console, and who may act; a forged request gets 403."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from clusters.models import Cluster, Credential
from jobs.models import BulkAction, Job
from jobs.queries.search import Search
from jobs.services.actions import Action
from jobs.services.bulk_actions import begin_bulk_action
from jobs.states import ActionKind
from tests.support.console import signed_in
from tests.support.queue import operator_named, submitted

PAGES = ["/admin/", "/admin/clusters/cluster/", "/admin/clusters/cluster/{c}/change/", "/admin/jobs/job/",
         "/admin/jobs/job/{j}/change/", "/admin/jobs/job/bulk/{s}/"]  # fmt: skip
CREDENTIAL_ACTS = ["/admin/clusters/cluster/credential/{k}/rotate/", "/admin/clusters/cluster/credential/{k}/revoke/",
                   "/admin/clusters/cluster/{c}/credential/new/"]  # fmt: skip
ACTS = ["/admin/clusters/cluster/act/pause/", "/admin/clusters/cluster/act/resume/",
        *CREDENTIAL_ACTS,
        *(f"/admin/jobs/job/{way}/{kind}/" for kind in ActionKind for way in ("act", "bulk/begin")),
        "/admin/jobs/job/bulk/{s}/step/", "/admin/jobs/job/bulk/{s}/stop/"]  # fmt: skip


@pytest.fixture
def ids(alpha: Any, now: datetime) -> dict[str, int]:
    job = submitted(alpha, now=now, name="fluid", command="secret-command", environment={"KEY": "sesame"})[0]
    action = Action(kind=ActionKind.CANCEL, reason="x")
    bulk_action = begin_bulk_action(action=action, search=Search(), by=operator_named("olga"), now=now)
    return {"c": alpha.cluster.id, "j": job, "s": bulk_action.id, "k": Credential.objects.earliest("id").id}


@pytest.mark.parametrize("address", PAGES)
def test_a_viewer_sees_every_page_without_a_button_to_act(ids: dict[str, int], address: str) -> None:
    shown = signed_in("victor", "viewers").get(address.format(**ids))

    assert shown.status_code == 200
    text = shown.content.decode()
    assert "formaction" not in text and "data-step" not in text and "/rotate/" not in text
    assert text.count('method="post"') == text.count('id="logout-form"')


@pytest.mark.parametrize("group", ["viewers", "nobody"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("address", ACTS)
def test_who_may_not_act_gets_403(ids: dict[str, int], address: str, method: str, group: str) -> None:
    client = signed_in("victor", group)

    answer = getattr(client, method)(address.format(**ids), {"id": ids["j"], "reason": "mine", "priority": 1})

    assert answer.status_code == 403
    assert Job.objects.get().state == "queued"
    assert not Cluster.objects.filter(paused_at__isnull=False).exists()
    assert not Credential.objects.filter(revoked_at__isnull=False).exists()
    assert BulkAction.objects.count() == 1


@pytest.mark.parametrize("address", PAGES[1:])
def test_staff_of_no_group_sees_nothing(ids: dict[str, int], address: str) -> None:
    client = signed_in("nina")

    refusal = client.get(address.format(**ids))
    assert refusal.status_code == 403
    assert "Your account lacks the permission for this" in refusal.content.decode()
    assert "sees nothing yet" in client.get("/admin/").content.decode()


@pytest.mark.parametrize("address", [*PAGES, *ACTS])
def test_strangers_are_asked_to_sign_in(ids: dict[str, int], address: str) -> None:
    answer = Client().get(address.format(**ids))

    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize("way", ["add/", "{j}/delete/", "{c}/delete/"])
@pytest.mark.parametrize("model", ["jobs/job", "clusters/cluster"])
def test_nobody_adds_or_deletes_by_hand(ids: dict[str, int], model: str, way: str) -> None:
    client = signed_in("olaf", "operators")

    assert client.post(f"/admin/{model}/{way.format(**ids)}", {"post": "yes"}).status_code in (403, 404, 302)
    assert (Job.objects.count(), Cluster.objects.count()) == (1, 1)


def test_posting_to_a_job_changes_nothing(ids: dict[str, int]) -> None:
    signed_in("olaf", "operators").post(f"/admin/jobs/job/{ids['j']}/change/", {"state": "completed", "priority": 9})

    assert (Job.objects.get().state, Job.objects.get().priority) == ("queued", 0)


def test_what_a_job_runs_takes_a_permission_of_its_own(ids: dict[str, int]) -> None:
    page = f"/admin/jobs/job/{ids['j']}/change/"
    found, blind = "/admin/jobs/job/?text=secret-command", signed_in("olaf", "operators")
    seer = signed_in("sana", "viewers", sees_content=True)

    for text in ("secret-command", "sesame"):
        assert text not in blind.get(page).content.decode()
        assert text in seer.get(page).content.decode()
    assert "fluid" not in blind.get(found).content.decode(), "a search must not tell what a command holds"
    assert "fluid" in seer.get(found).content.decode()


@pytest.mark.parametrize("address", CREDENTIAL_ACTS)
def test_acting_on_credentials_takes_a_permission_of_its_own(ids: dict[str, int], address: str) -> None:
    page = address.format(**ids)
    operator, manager = signed_in("olaf", "operators"), signed_in("mona", "viewers", manages_credentials=True)

    for method in ("get", "post"):
        assert getattr(operator, method)(page, {"reason": "mine", "kind": "secret"}).status_code == 403
    assert manager.get(page).status_code == 200
    links = f"/admin/clusters/cluster/{ids['c']}/change/"
    assert "/credential/" not in operator.get(links).content.decode()
    assert page in manager.get(links).content.decode()
    assert Credential.objects.count() == 2


@pytest.mark.parametrize("address", ACTS)
def test_another_sites_page_cannot_act_in_an_operators_name(ids: dict[str, int], address: str) -> None:
    """Its form carries the operator's cookie, and no token of ours."""
    olga = signed_in("olga2", "operators")
    client = Client(enforce_csrf_checks=True)
    client.cookies = olga.cookies
    before = Job.objects.get().priority, Credential.objects.get(id=ids["k"]).digest

    answer = client.post(address.format(**ids), {"id": ids["j"], "reason": "mine", "priority": 1, "grace_seconds": 0})

    assert answer.status_code == 403
    assert (Job.objects.get().priority, Credential.objects.get(id=ids["k"]).digest) == before
    assert BulkAction.objects.count() == 1
