"""Clusters and their credentials: the services themselves."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Caller, Claim
from clusters.models import Cluster, Credential, CredentialKind, FormerValue
from clusters.services.authenticate import admit, authenticate
from clusters.services.credentials import MAX_FORMER_VALUES, create_credential, revoke_credential, rotate_credential
from clusters.services.pause import pause_cluster, resume_cluster
from clusters.services.register import register_cluster
from jobs.queries.queue import request_jobs
from jobs.services.accept import accept_jobs
from rainbow.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RainbowError,
    Unauthenticated,
)
from tests.support.queue import operator_named, submitted

pytestmark = pytest.mark.django_db

TOKEN, SECRET = CredentialKind.TOKEN, CredentialKind.SECRET
MINUTE = timedelta(minutes=1)


def register(name: str, now: datetime, *, offered: str = "open") -> Any:
    return register_cluster(name=name, offered_secret=offered, registration_secret="open", now=now)


def credential_of(caller: Caller) -> Credential:
    return Credential.objects.get(id=caller.credential_id)


def is_good(value: str, now: datetime, **claim: Any) -> bool:
    return isinstance(authenticate([Claim(value=value, **claim)], now=now)[0], Caller)


def everything_stored() -> str:
    return str([list(model.objects.values()) for model in (Cluster, Credential, FormerValue)])


# Registering


def test_a_new_cluster_has_a_token_and_a_secret_of_which_only_digests_are_stored(now: datetime) -> None:
    new = register("alpha", now)

    assert new.token != new.secret
    assert [admit(Claim(value=value), now=now).kind for value in (new.token, new.secret)] == [TOKEN, SECRET]
    assert new.token not in everything_stored()
    assert new.secret not in everything_stored()


def test_a_cluster_that_exists_is_left_as_it_is(alpha: Any, now: datetime) -> None:
    before = everything_stored()

    assert register("alpha", now + MINUTE) is None
    assert everything_stored() == before


@pytest.mark.parametrize(("name", "offered"), [("gamma", "wrong"), ("gamma", ""), ("alpha", "wrong"), ("", "wrong")])
def test_whoever_lacks_the_registration_secret_learns_nothing(
    alpha: Any, now: datetime, name: str, offered: str
) -> None:
    with pytest.raises(Unauthenticated, match=r"^request denied$"):
        register(name, now, offered=offered)

    assert Cluster.objects.count() == 1


def test_a_name_that_breaks_the_rules_is_not_stored(now: datetime) -> None:
    with pytest.raises(InvalidArgument):
        register("no spaces", now)

    assert not Cluster.objects.exists()


# Telling who calls


def test_many_claims_are_judged_one_by_one(alpha: Any, beta: Any, now: datetime) -> None:
    claims = [
        Claim(value=alpha.token),
        Claim(value=alpha.token, cluster="alpha", kinds=frozenset({TOKEN})),
        Claim(value=beta.secret),
        Claim(value=alpha.token, cluster="beta"),
        Claim(value=alpha.token, cluster="nobody"),
        Claim(value=alpha.token, kinds=frozenset({SECRET})),
        Claim(value="wrong", cluster="alpha"),
        Claim(value=""),
        Claim(value="", kinds=frozenset({SECRET})),
    ]

    verdicts = authenticate(claims, now=now)

    good, bad = verdicts[:3], verdicts[3:]
    assert [verdict.cluster for verdict in good if isinstance(verdict, Caller)] == ["alpha", "alpha", "beta"]
    assert [str(verdict) for verdict in bad] == [
        *["request denied"] * 4,
        "a cluster token or secret is required",
        "a cluster secret is required",
    ]


@pytest.mark.parametrize("number", [1, 50])
def test_claims_are_judged_in_two_queries_however_many(
    alpha: Any, now: datetime, number: int, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    claims = [Claim(value=f"wrong-{place}") for place in range(number)] + [Claim(value=alpha.token)] * number

    with django_assert_max_num_queries(2):
        authenticate(claims, now=now)


def test_whatever_is_refused_takes_the_same_work(
    alpha: Any, beta: Any, now: datetime, django_assert_num_queries: Callable[[int], Any]
) -> None:
    """So that the time of an answer tells nothing, either."""
    for value, cluster in (
        (alpha.token, "beta"),
        (alpha.token, "nosuch"),
        ("rbt_nobodys", "alpha"),
        (alpha.secret, "alpha"),
    ):
        with django_assert_num_queries(2), pytest.raises(Unauthenticated):
            admit(Claim(value=value, cluster=cluster, kinds=frozenset({TOKEN})), now=now)


@pytest.mark.parametrize(("certified", "statements"), [({"alpha"}, 1), ({"alpha", "beta"}, 1), ({"beta"}, 2), ((), 2)])
def test_a_secret_needs_its_clusters_name_in_the_certificate_and_is_refused_like_an_unknown_one(
    alpha: Any,
    now: datetime,
    certified: Iterable[str],
    statements: int,
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    claim = Claim(value=alpha.secret, cluster="alpha", certified=frozenset(certified))

    with django_assert_num_queries(statements):
        [verdict] = authenticate([claim], now=now)

    assert isinstance(verdict, Caller) or str(verdict) == "request denied"
    assert isinstance(verdict, Caller) == ("alpha" in certified)


def test_a_token_is_good_beside_any_certificate(alpha: Any, now: datetime) -> None:
    assert is_good(alpha.token, now, certified=frozenset({"ada"}))


def test_a_credential_works_until_it_expires(alpha: Any, now: datetime) -> None:
    new = create_credential(cluster=alpha.cluster, kind=TOKEN, label="brief", by=None, now=now, expires_at=now + MINUTE)

    assert is_good(new.value, now)
    assert is_good(new.value, now + MINUTE - timedelta(microseconds=1))
    assert not is_good(new.value, now + MINUTE)


# Making and withdrawing credentials


def test_a_cluster_may_have_several_tokens(alpha: Any, now: datetime) -> None:
    new = create_credential(cluster=alpha.cluster, kind=TOKEN, label="for bob", by=None, now=now)

    assert admit(Claim(value=new.value), now=now).label == "for bob"
    assert is_good(alpha.token, now)
    assert new.value not in everything_stored()


def test_a_cluster_has_at_most_a_hundred_credentials(alpha: Any, now: datetime) -> None:
    """The pages for operators show them all."""
    made = [create_credential(cluster=alpha.cluster, kind=TOKEN, label=f"t{n}", by=None, now=now) for n in range(98)]

    with pytest.raises(FailedPrecondition, match="100 credentials; revoke one"):
        create_credential(cluster=alpha.cluster, kind=TOKEN, label="one more", by=None, now=now)
    revoke_credential(credential=made[0].credential, by=None, now=now)
    assert is_good(create_credential(cluster=alpha.cluster, kind=TOKEN, label="one more", by=None, now=now).value, now)


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"label": "default"}, AlreadyExists, "label"),
        ({"label": ""}, InvalidArgument, "label"),
        ({"label": "l" * 64}, InvalidArgument, "label"),
        ({"label": "a\nb"}, InvalidArgument, "label"),
        ({"expires_at": timedelta(0)}, InvalidArgument, "expires_at"),
    ],
)
def test_a_credential_that_cannot_be_is_refused_by_its_field(
    alpha: Any, now: datetime, changes: dict[str, Any], error: type[RainbowError], field: str
) -> None:
    if "expires_at" in changes:
        changes = {"expires_at": now + changes["expires_at"]}

    with pytest.raises(error) as refused:
        create_credential(
            **{"cluster": alpha.cluster, "kind": TOKEN, "label": "new", "by": None, "now": now, **changes}
        )

    assert refused.value.field == field
    assert Credential.objects.count() == 2


def test_a_revoked_credential_works_no_more_and_cannot_be_revoked_again(alpha: Any, now: datetime) -> None:
    token = credential_of(alpha.submitter)
    rotated = rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, grace=MINUTE, by=None, now=now)

    revoke_credential(credential=token, by=None, now=now)

    assert not is_good(rotated.value, now)
    assert not is_good(alpha.token, now)
    assert is_good(alpha.secret, now)
    with pytest.raises(FailedPrecondition):
        revoke_credential(credential=token, by=None, now=now)
    with pytest.raises(NotFound):
        rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=None, now=now)


def test_after_a_revocation_the_label_is_free(alpha: Any, now: datetime) -> None:
    revoke_credential(credential=credential_of(alpha.submitter), by=None, now=now)

    new = create_credential(cluster=alpha.cluster, kind=TOKEN, label="default", by=None, now=now)

    assert is_good(new.value, now)
    assert not is_good(alpha.token, now)


# Rotating


def test_the_old_value_works_until_its_grace_is_over(alpha: Any, now: datetime) -> None:
    new = rotate_credential(cluster_id=alpha.cluster.id, kind=SECRET, grace=MINUTE, by=None, now=now)

    assert is_good(new.value, now)
    assert is_good(alpha.secret, now + MINUTE - timedelta(microseconds=1))
    assert not is_good(alpha.secret, now + MINUTE)
    assert new.value not in everything_stored()


def test_without_grace_the_old_value_works_no_more(alpha: Any, now: datetime) -> None:
    new = rotate_credential(cluster_id=alpha.cluster.id, kind=SECRET, by=None, now=now)

    assert is_good(new.value, now)
    assert not is_good(alpha.secret, now)


def rotated(cluster: Any, *, grace: timedelta, now: datetime, holding: str = "") -> str:
    """The secret's next value, asked for with the one in `holding`."""
    by = admit(Claim(value=holding), now=now) if holding else None
    return rotate_credential(cluster_id=cluster.cluster.id, kind=SECRET, grace=grace, by=by, now=now).value


def test_every_value_works_as_long_as_it_was_promised_however_often_it_is_rotated(alpha: Any, now: datetime) -> None:
    first = rotated(alpha, grace=10 * MINUTE, now=now)
    second = rotated(alpha, grace=MINUTE, now=now)
    third = rotated(alpha, grace=5 * MINUTE, now=now)
    values = (alpha.secret, first, second, third)

    assert [is_good(value, now) for value in values] == [True, True, True, True]
    assert [is_good(value, now + MINUTE) for value in values] == [True, False, True, True]
    assert [is_good(value, now + 5 * MINUTE) for value in values] == [True, False, False, True]
    assert [is_good(value, now + 10 * MINUTE) for value in values] == [False, False, False, True]


def test_whoever_rotates_again_with_the_value_before_the_lost_answer_keeps_it(alpha: Any, now: datetime) -> None:
    lost = rotated(alpha, grace=MINUTE, now=now, holding=alpha.secret)
    later = now + MINUTE / 2

    found = rotated(alpha, grace=MINUTE, now=later, holding=alpha.secret)

    assert [is_good(value, now + MINUTE) for value in (alpha.secret, lost, found)] == [True, True, True]
    assert [is_good(value, later + MINUTE) for value in (alpha.secret, lost, found)] == [False, False, True]


def test_the_longest_promise_to_the_value_that_is_held_is_told(alpha: Any, now: datetime) -> None:
    rotated(alpha, grace=10 * MINUTE, now=now)
    holder = admit(Claim(value=alpha.secret), now=now)

    new = rotate_credential(cluster_id=alpha.cluster.id, kind=SECRET, grace=MINUTE, by=holder, now=now)

    assert new.credential.previous_expires_at == now + 10 * MINUTE


def test_without_grace_all_values_that_were_replaced_end(alpha: Any, now: datetime) -> None:
    first = rotated(alpha, grace=MINUTE, now=now)
    second = rotated(alpha, grace=timedelta(0), now=now)

    assert [is_good(value, now) for value in (alpha.secret, first, second)] == [False, False, True]


def test_no_more_than_ten_values_that_were_replaced_work(alpha: Any, now: datetime) -> None:
    for _ in range(MAX_FORMER_VALUES):
        latest = rotated(alpha, grace=MINUTE, now=now)

    with pytest.raises(FailedPrecondition, match="10 values that were replaced still work"):
        rotated(alpha, grace=MINUTE, now=now)

    assert is_good(latest, now)
    rotated(alpha, grace=MINUTE, now=now + MINUTE)
    assert FormerValue.objects.count() == 1


def test_a_rotation_leaves_the_other_credentials_alone(alpha: Any, beta: Any, now: datetime) -> None:
    bobs = create_credential(cluster=alpha.cluster, kind=TOKEN, label="for bob", by=None, now=now)

    rotate_credential(cluster_id=alpha.cluster.id, kind=TOKEN, by=None, now=now)

    assert not is_good(alpha.token, now)
    assert all(is_good(value, now) for value in (bobs.value, alpha.secret, beta.token, beta.secret))


@pytest.mark.parametrize("grace", [timedelta(seconds=-1), timedelta(days=7, seconds=1)])
def test_a_grace_out_of_range_is_refused(alpha: Any, now: datetime, grace: timedelta) -> None:
    with pytest.raises(InvalidArgument, match="0 to 604,800"):
        rotate_credential(cluster_id=alpha.cluster.id, kind=SECRET, grace=grace, by=None, now=now)

    assert is_good(alpha.secret, now)


# Pausing


def test_a_paused_cluster_is_offered_nothing_until_it_is_resumed(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 2, now=now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="maintenance", by=None, now=now)
    paused = admit(Claim(value=alpha.secret), now=now)

    offered, accepted = (
        list(request_jobs(caller=paused, now=now)),
        accept_jobs(caller=paused, job_ids=ids, now=now),
    )
    resume_cluster(cluster_id=alpha.cluster.id, by=None, now=now)
    resumed = admit(Claim(value=alpha.secret), now=now)

    assert (paused.paused, paused.paused_reason, offered, accepted.accepted) == (True, "maintenance", [], [])
    assert not resumed.paused
    assert [job.id for job in request_jobs(caller=resumed, now=now)] == ids


def test_pausing_twice_and_resuming_twice_is_refused(alpha: Any, now: datetime) -> None:
    with pytest.raises(FailedPrecondition):
        resume_cluster(cluster_id=alpha.cluster.id, by=None, now=now)
    pause_cluster(cluster_id=alpha.cluster.id, reason="first", by=operator_named("olga"), now=now)

    with pytest.raises(FailedPrecondition):
        pause_cluster(cluster_id=alpha.cluster.id, reason="second", by=None, now=now)

    cluster = Cluster.objects.get(id=alpha.cluster.id)
    assert (cluster.paused_reason, cluster.paused_by) == ("first", "olga")


@pytest.mark.parametrize("reason", ["", "r" * 1_001, "a\0b"])
def test_a_pause_needs_a_reason_that_can_be_shown(alpha: Any, now: datetime, reason: str) -> None:
    with pytest.raises(InvalidArgument, match="reason: "):
        pause_cluster(cluster_id=alpha.cluster.id, reason=reason, by=None, now=now)

    assert Cluster.objects.get(id=alpha.cluster.id).paused_at is None
