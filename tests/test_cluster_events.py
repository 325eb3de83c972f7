"""Whatever is done to a cluster and its credentials is written down with who did it, over every door."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, connection, transaction

from clusters.callers import Claim, Operator
from clusters.models import ClusterEvent, ClusterWhat, Credential, CredentialKind
from clusters.services.authenticate import admit
from clusters.services.credentials import create_credential, revoke_credential, rotate_credential
from clusters.services.events import list_events
from clusters.services.pause import pause_cluster, resume_cluster
from clusters.services.register import register_cluster
from grpc_api.rpcs.credentials import rotate
from jobs.services.report import report_jobs
from rainbow.errors import RainbowError
from rainbow.protos import rainbow_pb2 as pb
from tests.conftest import Member
from tests.support.console import signed_in
from tests.support.queue import operator_named, submitted
from tests.support.rest import Rest, problem_in, puller, submitter

pytestmark = pytest.mark.django_db
TOKEN, SECRET = CredentialKind.TOKEN, CredentialKind.SECRET
HOUR = timedelta(hours=1)


def told(member: Member) -> list[tuple[str, str, str, str]]:
    """What a cluster's events say since it was registered: what, about what, who, why."""
    events = list_events(cluster_id=member.cluster.id, most=100)[::-1][1:]
    return [(event.what, str(event.about or ""), event.who, event.why) for event in events]


def admin_log() -> list[tuple[str, str]]:
    return [(entry.user.get_username(), entry.change_message) for entry in LogEntry.objects.order_by("id")]


def rest_of(client: Any) -> Rest:
    rest = Rest()
    rest.client = client
    return rest


# Over every door


def test_registering_begins_the_record(db: None, now: datetime) -> None:
    assert register_cluster(name="keebler", offered_secret="open", registration_secret="open", now=now)

    (event,) = ClusterEvent.objects.all()
    assert (event.what, event.who, event.why, event.at) == (
        "registered",
        "the cluster",
        "with the registration secret",
        now,
    )


def test_a_clusters_rotation_over_grpc_is_its_secrets(alpha: Member, now: datetime) -> None:
    request = pb.RotateCredentialRequest(kind=pb.CREDENTIAL_KIND_TOKEN)

    rotate(request, alpha.puller, now)

    assert told(alpha) == [("credential_rotated", "token default", "secret default", "")]
    assert admin_log() == []


def test_acts_over_rest_are_a_persons_or_a_secrets(alpha: Member) -> None:
    ada = rest_of(signed_in("ada", "operators", manages_credentials=True))
    path = "clusters/alpha/credentials"

    made = ada.post(path, {"kind": "secret", "label": "spy", "reason": "a test"}).json()
    ada.post(f"{path}/{made['id']}/rotate", {"grace_seconds": 0})
    ada.post(f"{path}/{made['id']}/revoke", {"reason": "done"})
    by_secret = puller(alpha).post(path, {"kind": "token", "label": "physics"}).json()
    puller(alpha).post(f"{path}/{by_secret['id']}/revoke")
    ada.post("clusters/alpha/pause", {"reason": "noon"})
    ada.post("clusters/alpha/resume")

    assert told(alpha) == [
        ("credential_made", "secret spy", "ada", "a test"),
        ("credential_rotated", "secret spy", "ada", ""),
        ("credential_revoked", "secret spy", "ada", "done"),
        ("credential_made", "token physics", "secret default", ""),
        ("credential_revoked", "token physics", "secret default", ""),
        ("paused", "", "ada", "noon"),
        ("resumed", "", "ada", ""),
    ]
    assert admin_log() == [
        ("ada", "made secret spy: a test"),
        ("ada", "rotated secret spy"),
        ("ada", "revoked secret spy: done"),
        ("ada", "paused: noon"),
        ("ada", "resumed"),
    ]
    assert {entry.object_id for entry in LogEntry.objects.all()} == {str(alpha.cluster.id)}


def test_acts_in_the_console_are_a_persons(alpha: Member) -> None:
    ada = signed_in("ada", "operators", manages_credentials=True)
    console = "/admin/clusters/cluster/"

    answer = ada.post(
        f"{console}{alpha.cluster.id}/credential/new/",
        {"kind": "secret", "label": "spy", "days": 7, "reason": "a test"},
    )
    made = Credential.objects.get(label="spy")
    ada.post(f"{console}credential/{made.id}/rotate/", {"grace_seconds": 0, "reason": "again"})
    ada.post(f"{console}credential/{made.id}/revoke/", {"reason": "done"})

    assert "rbs_" in answer.content.decode() and "no-store" in answer["Cache-Control"]
    assert made.expires_at == made.created_at + timedelta(days=7)
    assert told(alpha) == [
        ("credential_made", "secret spy", "ada", "a test"),
        ("credential_rotated", "secret spy", "ada", "again"),
        ("credential_revoked", "secret spy", "ada", "done"),
    ]
    assert admin_log() == [
        ("ada", "made secret spy: a test"),
        ("ada", "rotated secret spy: again"),
        ("ada", "revoked secret spy: done"),
    ]
    page = ada.get(f"{console}{alpha.cluster.id}/change/").content.decode()
    assert "made secret spy: a test" in page and "revoked secret spy: done" in page


def test_an_agent_that_pauses_its_cluster_is_written_down_with_its_secret(alpha: Member, now: datetime) -> None:
    report_jobs(caller=alpha.puller, agent="login-1", reports=[], pause="a black hole", now=now)

    assert told(alpha) == [("paused", "", "secret default", "a black hole")]


def test_a_new_credential_that_is_refused_leaves_no_record(alpha: Member) -> None:
    ada = signed_in("ada", "operators", manages_credentials=True)
    page = f"/admin/clusters/cluster/{alpha.cluster.id}/credential/new/"

    answer = ada.post(page, {"kind": "secret", "label": "default", "days": 0, "reason": "x"})

    assert answer.status_code == 200
    assert "the cluster has a secret of this label" in answer.content.decode()
    assert (told(alpha), admin_log()) == ([], [])


@pytest.mark.parametrize("reason", ["r" * 1_001, "a\0b", "a\nb"])
def test_a_reason_that_cannot_be_shown_is_refused_before_anything_is_done(
    alpha: Member, now: datetime, reason: str
) -> None:
    token = Credential.objects.get(kind=TOKEN)
    by = operator_named("ada")

    for act in (
        lambda: create_credential(cluster=alpha.cluster, kind=TOKEN, label="x", by=by, reason=reason, now=now),
        lambda: rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=by, reason=reason, now=now),
        lambda: revoke_credential(credential=token, by=by, reason=reason, now=now),
        lambda: resume_cluster(cluster_id=alpha.cluster.id, by=by, reason=reason, now=now),
    ):
        with pytest.raises(RainbowError, match="reason: "):
            act()
    assert told(alpha) == []
    assert admit(Claim(value=alpha.token), now=now)


# Whose doing a credential is


def issued_by(credential: Credential) -> str:
    credential.refresh_from_db()
    return credential.issued_by.get_username() if credential.issued_by else ""


def test_a_credential_is_the_doing_of_the_operator_who_was_shown_its_value(alpha: Member, now: datetime) -> None:
    ada, secret = operator_named("ada"), Credential.objects.get(kind=SECRET)
    assert (issued_by(secret), alpha.puller.issued_by) == ("", "")

    new = rotate_credential(cluster_id=alpha.cluster.id, kind=SECRET, by=ada, now=now)

    assert issued_by(secret) == "ada"
    assert admit(Claim(value=new.value), now=now).issued_by == "ada"


def test_what_is_made_with_a_credential_that_an_operator_made_is_theirs_too(alpha: Member, now: datetime) -> None:
    """Otherwise one more step would hide who reads."""
    ada = operator_named("ada")
    spy = create_credential(cluster=alpha.cluster, kind=SECRET, label="spy", by=ada, now=now)
    as_spy = admit(Claim(value=spy.value), now=now)

    deeper = create_credential(cluster=alpha.cluster, kind=SECRET, label="deeper", by=as_spy, now=now)
    rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=as_spy, now=now)

    assert [issued_by(one) for one in (spy.credential, deeper.credential)] == ["ada", "ada"]
    assert issued_by(Credential.objects.get(kind=TOKEN)) == "ada"
    events = list_events(cluster_id=alpha.cluster.id, most=3)[::-1]
    assert [event.who for event in events] == ["ada", "secret spy", "secret spy"]
    assert [event.issued_by and event.issued_by.get_username() for event in events] == [None, "ada", "ada"]


def test_what_was_somebodys_doing_stays_so_in_the_record(alpha: Member, now: datetime) -> None:
    spy = create_credential(cluster=alpha.cluster, kind=SECRET, label="spy", by=operator_named("ada"), now=now)
    rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=admit(Claim(value=spy.value), now=now), now=now)

    rotate_credential(cluster_id=alpha.cluster.id, kind=SECRET, label="spy", by=alpha.puller, now=now)

    cleared, by_spy, _ = list_events(cluster_id=alpha.cluster.id, most=3)
    assert issued_by(spy.credential) == ""
    assert (cleared.issued_by, by_spy.issued_by and by_spy.issued_by.get_username()) == (None, "ada")


def test_a_label_cannot_say_whose_doing_its_credential_is(alpha: Member, now: datetime) -> None:
    """A cluster chooses labels: no operator is to be blamed by one."""
    label = "default, issued by ada"
    secret = create_credential(cluster=alpha.cluster, kind=SECRET, label=label, by=alpha.puller, now=now)
    rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=admit(Claim(value=secret.value), now=now), now=now)

    event = puller(alpha).get("clusters/alpha/events").json()["results"][0]
    page = signed_in("vera", "viewers").get(f"/admin/clusters/cluster/{alpha.cluster.id}/change/").content.decode()

    assert (event["who"], event["issued_by"]) == (f"secret {label}", None)
    assert '<span class="mark">issued by' not in page


def test_a_value_that_no_operator_was_shown_is_nobodys_doing_again(alpha: Member, now: datetime) -> None:
    rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=operator_named("ada"), now=now)

    rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=alpha.puller, now=now)

    assert issued_by(Credential.objects.get(kind=TOKEN)) == ""


def test_rest_and_the_room_tell_whose_doing_a_credential_is(alpha: Member, now: datetime) -> None:
    create_credential(cluster=alpha.cluster, kind=SECRET, label="spy", by=operator_named("ada"), now=now)

    listed = puller(alpha).get("clusters/alpha/credentials").json()
    page = signed_in("vera", "viewers").get(f"/admin/clusters/cluster/{alpha.cluster.id}/change/").content.decode()

    assert [(one["label"], one["issued_by"]) for one in listed] == [
        ("default", None),
        ("spy", "ada"),
        ("default", None),
    ]
    assert " by ada" in page


# Who may


@pytest.mark.parametrize(
    ("path", "content"),
    [("", {"kind": "secret", "label": "spy"}), ("/{k}/rotate", {"grace_seconds": 0}), ("/{k}/revoke", {})],
)
def test_operators_act_on_no_credential_without_the_permission_for_it(
    alpha: Member, now: datetime, path: str, content: Any
) -> None:
    """A secret lets its holder read what jobs run, which operators may not by themselves."""
    submitted(alpha, now=now, command="secret-command")
    path = "clusters/alpha/credentials" + path.format(k=Credential.objects.get(kind=SECRET).id)
    operator, manager = signed_in("olaf", "operators"), signed_in("mona", "viewers", manages_credentials=True)

    refused, done = rest_of(operator).post(path, content), rest_of(manager).post(path, content)

    assert refused.status_code == 403
    problem_in(refused)
    assert done.status_code in (200, 201)
    assert [who for _, _, who, _ in told(alpha)] == ["mona"]


def test_the_groups_that_are_made_manage_no_credentials(db: None) -> None:
    permission = Permission.objects.get(codename="manage_credential")

    assert not Group.objects.filter(permissions=permission).exists()
    assert not Permission.objects.filter(codename="change_credential").exists()


# Reading them


def test_events_are_read_page_by_page_the_newest_first(alpha: Member, beta: Member, now: datetime) -> None:
    for number in range(5):
        create_credential(cluster=alpha.cluster, kind=TOKEN, label=f"t{number}", by=alpha.puller, now=now)
        create_credential(cluster=beta.cluster, kind=TOKEN, label=f"t{number}", by=None, now=now)
    seen, path = [], "clusters/alpha/events?page_size=2"
    while path:
        page = puller(alpha).get(path).json()
        seen += page["results"]
        path = page["next"].partition("/api/v1/")[2] if page["next"] else ""

    assert [event["what"] for event in seen] == ["credential_made"] * 5 + ["registered"]
    assert [event["credential"]["label"] for event in seen[:5]] == ["t4", "t3", "t2", "t1", "t0"]
    assert {event["who"] for event in seen[:5]} == {"secret default"}
    assert set(seen[0]) == {"id", "at", "what", "credential", "who", "issued_by", "why"}
    assert set(seen[0]["credential"]) == {"id", "kind", "label"}


@pytest.mark.parametrize("query", ["page_size=0", "page_size=1001", "cursor=x", "cursor=0", "nothing=1"])
def test_a_page_that_cannot_be_is_refused(alpha: Member, query: str) -> None:
    assert puller(alpha).get(f"clusters/alpha/events?{query}").status_code == 400


def test_others_do_not_read_them(alpha: Member, mallory: Member) -> None:
    assert puller(mallory).get("clusters/alpha/events").status_code == 401
    assert submitter(alpha).get("clusters/alpha/events").status_code == 401
    assert Rest().get("clusters/alpha/events").status_code == 401
    assert rest_of(signed_in("nina")).get("clusters/alpha/events").status_code == 403
    assert rest_of(signed_in("vera", "viewers")).get("clusters/alpha/events").status_code == 200
    assert rest_of(signed_in("vic", "viewers")).get("clusters/nothing/events").status_code == 404


# Constraints


def test_an_event_has_one_actor_at_most(alpha: Member, now: datetime) -> None:
    both = {"credential_id": alpha.puller.credential_id, "operator_id": operator_named("ada").user_id}

    with pytest.raises(IntegrityError), transaction.atomic():
        ClusterEvent.objects.create(cluster=alpha.cluster, at=now, what=ClusterWhat.PAUSED, **both)


@pytest.mark.parametrize(("what", "about"), [("paused", True), ("credential_made", False), ("eaten", False)])
def test_an_event_is_about_a_credential_exactly_where_its_kind_says_so(
    alpha: Member, now: datetime, what: str, about: bool
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ClusterEvent.objects.create(
            cluster=alpha.cluster, at=now, what=what, about_id=alpha.puller.credential_id if about else None
        )


def test_pausing_and_resuming_are_one_transaction_with_their_events(alpha: Member, now: datetime) -> None:
    stranger = Operator(user_id=987_654, name="nobody")

    with pytest.raises(IntegrityError), transaction.atomic():
        pause_cluster(cluster_id=alpha.cluster.id, reason="x", by=stranger, now=now)
        connection.check_constraints()

    alpha.cluster.refresh_from_db()
    assert (alpha.cluster.paused_at, told(alpha)) == (None, [])
