"""Tokens of persons and of projects: how long they live, what they reach, who ends them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry

from clusters.callers import Caller, Claim, Operator, Party
from clusters.models import Credential, CredentialKind, ProjectEvent
from clusters.services import personal_tokens
from clusters.services.authenticate import admit, authenticate
from clusters.services.personal_tokens import (
    Wish,
    create_personal_token,
    create_project_token,
    revoke_token,
    tokens_of_person,
)
from clusters.services.projects import Change
from rainbow.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RainbowError,
    Unauthenticated,
)
from tests.support.members import caller_with, operator_of_projects, personal_token, project_of
from tests.support.pools import pool_of

pytestmark = pytest.mark.django_db


def test_a_personal_token_reaches_what_its_persons_projects_may_use(
    alpha: Any, beta: Any, alice: Operator, now: datetime
) -> None:
    chem = project_of(alice, name="chem", at=("alpha",), now=now)
    bio = project_of(alice, name="bio", at=("alpha", "beta"), now=now)
    token = personal_token(alice, now=now)

    caller = caller_with(token, cluster="beta", now=now)

    assert token.startswith("rbu_")
    assert (caller.kind, caller.person, caller.who, caller.cluster) == ("personal", "alice", "alice (laptop)", "beta")
    assert {(one.id, one.granted) for one in caller.projects} == {(chem.id, False), (bio.id, True)}
    assert {one.id for one in caller_with(token, cluster="alpha", now=now).projects if one.granted} == {
        chem.id,
        bio.id,
    }


def test_it_reaches_pools_as_well(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    pool_of("alpha", "beta", now=now)
    project_of(alice, at=("big",), now=now)

    caller = caller_with(personal_token(alice, now=now), cluster="big", now=now)

    assert (caller.cluster, caller.pool) == ("big", True)


def test_a_call_for_no_cluster_is_the_persons(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)

    caller = caller_with(personal_token(alice, now=now), now=now)

    assert (caller.person, caller.cluster_id, caller.cluster) == ("alice", 0, "")
    assert [one.granted for one in caller.projects] == [False]


def test_all_tokens_of_a_person_or_a_project_have_one_share_of_what_is_limited(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    chem, change = project_of(alice, now=now), Change(by=operator_of_projects("root"), now=now)
    mine = [personal_token(alice, now=now, label=label) for label in ("laptop", "desk")]
    ours = [
        create_project_token(project_id=chem.id, wish=Wish(label=label), change=change).value for label in ("ci", "web")
    ]

    parties = {caller_with(token, cluster=cluster, now=now).party for token in mine for cluster in (None, "alpha")}
    shared = {caller_with(token, cluster="alpha", now=now).party for token in ours}

    assert parties == {alice.party} != {bob.party}
    assert shared == {Party("project", chem.id)}
    assert alpha.submitter.party != alpha.puller.party


def refused(*claims: Claim, now: datetime) -> list[str]:
    return [f"{type(one).__name__}: {one}" for one in authenticate(claims, now=now) if isinstance(one, RainbowError)]


def test_all_that_is_out_of_reach_is_refused_alike(
    alpha: Any, beta: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project_of(alice, at=("alpha",), now=now)
    token, idle = personal_token(alice, now=now), personal_token(bob, now=now)
    narrowed = personal_token(alice, now=now, label="narrowed", clusters=["alpha"])
    claims = [
        Claim(value="rbu_nonsense", cluster="alpha"),
        Claim(value="rbp_nonsense", cluster="alpha"),
        Claim(value=token, cluster="beta"),
        Claim(value=token, cluster="none"),
        Claim(value=idle, cluster="alpha"),
        Claim(value=narrowed, cluster="beta"),
        Claim(value=token, cluster="alpha", kinds=frozenset({CredentialKind.SECRET})),
    ]

    assert refused(*claims, now=now) == ["Unauthenticated: request denied"] * len(claims)


def test_a_refusal_costs_the_statements_that_an_answer_costs(
    alpha: Any, alice: Operator, django_assert_num_queries: Any, now: datetime
) -> None:
    project_of(alice, now=now)
    token = personal_token(alice, now=now)

    for value, cluster in ((token, "alpha"), (token, "none"), ("rbu_nonsense", "alpha")):
        with django_assert_num_queries(3):
            authenticate([Claim(value=value, cluster=cluster)], now=now)


def test_a_batch_of_both_kinds_is_answered_in_place(
    alpha: Any, alice: Operator, bob: Operator, django_assert_num_queries: Any, now: datetime
) -> None:
    project_of(alice, bob, now=now)
    values = [personal_token(alice, now=now), alpha.token, personal_token(bob, now=now), "rbt_wrong", ""]
    claims = [Claim(value=value, cluster="alpha") for value in values] * 3

    with django_assert_num_queries(5):
        callers = authenticate(claims, now=now)

    told = [one.person or one.kind if isinstance(one, Caller) else type(one).__name__ for one in callers]
    assert told == ["alice", "token", "bob", "Unauthenticated", "Unauthenticated"] * 3


def test_a_token_narrowed_to_a_project_acts_for_that_alone(
    alpha: Any, beta: Any, alice: Operator, now: datetime
) -> None:
    project_of(alice, name="chem", at=("alpha",), now=now)
    bio = project_of(alice, name="bio", at=("beta",), now=now)

    token = personal_token(alice, project="bio", now=now)

    assert [one.id for one in caller_with(token, cluster="beta", now=now).projects] == [bio.id]
    assert caller_with(token, cluster="beta", now=now).narrowed_to == bio.id
    with pytest.raises(Unauthenticated):
        caller_with(token, cluster="alpha", now=now)


def test_a_token_for_reading_writes_nothing(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    token = personal_token(alice, reads_only=True, now=now)

    assert caller_with(token, cluster="alpha", reads=True, now=now).person == "alice"
    with pytest.raises(PermissionDenied, match="this token may only read"):
        caller_with(token, cluster="alpha", now=now)


def test_a_token_ends_when_its_time_is_over(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    token = personal_token(alice, days=1, now=now)
    end = now + timedelta(days=1)

    assert caller_with(token, now=end - timedelta(seconds=1)).person == "alice"
    with pytest.raises(Unauthenticated):
        caller_with(token, now=end)
    assert personal_token(alice, days=1, now=end), "its label is free again"


@pytest.mark.parametrize(
    ("wish", "project", "kind", "words"),
    [
        ({"days": 0}, "", InvalidArgument, "days: must be 1 to 365, not 0"),
        ({"days": 366}, "", InvalidArgument, "days: must be 1 to 365, not 366"),
        ({"label": ""}, "", InvalidArgument, "label: must not be empty"),
        ({"label": "a\nb"}, "", InvalidArgument, "label: must not contain control"),
        ({"clusters": ["beta"]}, "", NotFound, "clusters: you may not use 'beta'"),
        ({"clusters": ["none"]}, "", NotFound, "clusters: you may not use 'none'"),
        ({"clusters": ["alpha"] * 101}, "", InvalidArgument, "clusters: must be at most 100 clusters, not 101"),
        ({}, "bio", NotFound, "project: you are in no project 'bio'"),
        ({}, "none", NotFound, "project: you are in no project 'none'"),
        ({"label": "used"}, "", AlreadyExists, "label: a token has this label"),
    ],
)
def test_what_no_token_can_be_is_refused_with_its_field(
    alpha: Any,
    beta: Any,
    alice: Operator,
    wish: dict[str, Any],
    project: str,
    kind: type[RainbowError],
    words: str,
    now: datetime,
) -> None:
    project_of(alice, name="chem", now=now)
    project_of(name="bio", at=("beta",), now=now)
    personal_token(alice, label="used", now=now)

    with pytest.raises(kind, match=words):
        personal_token(alice, project=project, now=now, **{"label": "new", **wish})

    assert Credential.objects.filter(person_id=alice.user_id).count() == 1


def test_the_number_of_tokens_is_bounded(
    alpha: Any, alice: Operator, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    project = project_of(lead=alice, now=now)
    monkeypatch.setattr(personal_tokens, "MAX_TOKENS", 1)
    change = Change(by=alice, now=now)
    create_personal_token(wish=Wish(label="one"), change=change)
    create_project_token(project_id=project.id, wish=Wish(label="one"), change=change)

    with pytest.raises(FailedPrecondition, match="there are 1 tokens"):
        create_personal_token(wish=Wish(label="two"), change=change)
    with pytest.raises(FailedPrecondition, match="there are 1 tokens"):
        create_project_token(project_id=project.id, wish=Wish(label="two"), change=change)


def test_a_lead_makes_a_token_for_a_service(alpha: Any, alice: Operator, now: datetime) -> None:
    project = project_of(lead=alice, now=now)

    new = create_project_token(project_id=project.id, wish=Wish(label="ci"), change=Change(by=alice, now=now))

    caller = caller_with(new.value, cluster="alpha", now=now)
    assert new.value.startswith("rbp_")
    assert (caller.kind, caller.person, [one.name for one in caller.projects]) == ("project", "", ["chem"])
    made = ProjectEvent.objects.order_by("-id")[0]
    assert (made.what, made.about, made.who) == ("token_made", "chem (ci)", "alice")


def test_members_make_no_token_of_their_project(alpha: Any, alice: Operator, now: datetime) -> None:
    project = project_of(alice, now=now)

    with pytest.raises(PermissionDenied):
        create_project_token(project_id=project.id, wish=Wish(label="ci"), change=Change(by=alice, now=now))


def test_its_person_and_an_operator_revoke_a_token_and_nobody_else(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project_of(alice, lead=bob, now=now)
    olga = operator_of_projects("olga")
    for who in (alice, olga):
        token = personal_token(alice, now=now)
        one = tokens_of_person(alice.user_id, now=now)[0]
        with pytest.raises(NotFound, match="there is no such token"):
            revoke_token(credential_id=one.id, change=Change(by=bob, now=now))

        revoke_token(credential_id=one.id, change=Change(by=who, reason="lost", now=now))

        with pytest.raises(Unauthenticated):
            admit(Claim(value=token), now=now)
        with pytest.raises(FailedPrecondition, match="revoked before"):
            revoke_token(credential_id=one.id, change=Change(by=who, now=now))
    messages = list(LogEntry.objects.order_by("id").values_list("user__username", "change_message"))
    assert messages == [
        ("alice", "made the token laptop"),
        ("alice", "revoked the token laptop: lost"),
        ("alice", "made the token laptop"),
        ("olga", "revoked the token laptop: lost"),
    ]


def test_the_credentials_of_clusters_are_not_revoked_as_tokens_of_people(alpha: Any, now: datetime) -> None:
    with pytest.raises(NotFound):
        revoke_token(credential_id=alpha.submitter.credential_id, change=Change(by=None, now=now))


def test_no_value_is_stored(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    token = personal_token(alice, now=now)

    stored = [str(row) for model in (Credential, ProjectEvent, LogEntry) for row in model.objects.values()]

    assert not [row for row in stored if token in row]
