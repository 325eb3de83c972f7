"""Credentials that leaked: whoever finds a value revokes it, and learns what was done with it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from clusters.callers import Operator
from clusters.models import ClusterEvent, ClusterWhat, Credential, CredentialKind, FailedAttempts, Withdrawal
from clusters.services.credentials import rotate_credential
from clusters.services.personal_tokens import Wish, create_project_token
from clusters.services.projects import Change
from grpc_api.rpcs.leaks import revoke_leaked
from jobs.models import Job
from rainbow.errors import InvalidArgument, NotFound, ResourceExhausted, Unauthenticated
from rainbow.protos import rainbow_pb2 as pb
from tests.support.members import caller_with, personal_token, project_of
from tests.support.queue import submitted

pytestmark = pytest.mark.django_db
ADDRESS = "192.0.2.7"


def report(value: str, now: datetime, *, show: bool = False) -> pb.RevokeLeakedResponse:
    return revoke_leaked(pb.RevokeLeakedRequest(value=value, show=show), ADDRESS, now)


def works(value: str, now: datetime) -> bool:
    try:
        caller_with(value, now=now, reads=True)
    except Unauthenticated:
        return False
    return True


@pytest.fixture
def values(alpha: Any, alice: Operator, now: datetime) -> dict[str, str]:
    """One of each kind."""
    project = project_of(lead=alice, now=now)
    of_project = create_project_token(project_id=project.id, wish=Wish(label="ci"), change=Change(by=alice, now=now))
    return {
        "token": alpha.token,
        "secret": alpha.secret,
        "personal": personal_token(alice, now=now),
        "project": of_project.value,
    }


@pytest.mark.parametrize(
    ("kind", "whose"),
    [
        ("token", ("alpha", "", "", "default")),
        ("secret", ("alpha", "", "", "default")),
        ("personal", ("", "alice", "", "laptop")),
        ("project", ("", "", "chem", "ci")),
    ],
)
def test_a_credential_of_any_kind_is_revoked_by_its_value(
    values: dict[str, str], kind: str, whose: tuple[str, ...], now: datetime
) -> None:
    found = report(values[kind], now)

    assert pb.CredentialKind.Name(found.kind).lower().endswith(kind)
    assert (found.cluster, found.person, found.project, found.label) == whose
    assert (found.revoked_now, found.revoked_at.ToDatetime()) == (True, now.replace(tzinfo=None))
    assert {name: works(value, now) for name, value in values.items()} == {name: name != kind for name in values}
    assert Withdrawal.objects.filter(credential__isnull=False).count() == 1, "calls that wait end"


def test_of_a_clusters_credential_an_event_says_why(alpha: Any, now: datetime) -> None:
    report(alpha.secret, now)

    event = ClusterEvent.objects.get(what=ClusterWhat.CREDENTIAL_REVOKED)
    assert (event.why, event.operator, event.credential) == ("leaked: reported by a holder of the value", None, None)


def test_to_show_changes_nothing(values: dict[str, str], now: datetime) -> None:
    for value in values.values():
        found = report(value, now, show=True)

        assert (found.revoked_now, found.HasField("revoked_at"), works(value, now)) == (False, False, True)


def test_a_second_report_says_when_it_was_revoked(alpha: Any, now: datetime) -> None:
    report(alpha.token, now)

    again = report(alpha.token, now + timedelta(hours=1))

    assert (again.revoked_now, again.revoked_at.ToDatetime()) == (False, now.replace(tzinfo=None))


def test_a_replaced_value_revokes_only_while_it_works(alpha: Any, now: datetime) -> None:
    new = rotate_credential(
        cluster_id=alpha.cluster.id, kind=CredentialKind.TOKEN, grace=timedelta(minutes=5), by=None, now=now
    )
    with pytest.raises(NotFound):
        report(alpha.token, now + timedelta(minutes=5))
    assert works(new.value, now)

    assert report(alpha.token, now + timedelta(minutes=4)).revoked_now
    assert not works(new.value, now)


def test_what_is_no_value_is_not_found_and_counts_as_a_guess(alpha: Any, now: datetime, settings: Any) -> None:
    settings.RAINBOW_GUESSES = 2
    for _ in range(2):
        with pytest.raises(NotFound, match="value: no credential has this value"):
            report("rbt_wrong", now)

    with pytest.raises(ResourceExhausted):
        report("rbt_wrong", now)

    assert FailedAttempts.objects.get().source == f"address {ADDRESS}"
    assert report(alpha.token, now).revoked_now, "a true value is never kept out"


@pytest.mark.parametrize("value", ["", "x" * 201])
def test_a_value_has_bounds(value: str, now: datetime) -> None:
    with pytest.raises(InvalidArgument, match="value: must have 1 to 200 characters"):
        report(value, now)

    assert not FailedAttempts.objects.exists()


def test_the_newest_jobs_are_listed_with_their_states(alpha: Any, now: datetime) -> None:
    ids = submitted(alpha, 25, now=now)
    Job.objects.filter(id=ids[-2]).update(state="cancelled", finished_at=now)

    found = report(alpha.token, now)

    assert found.job_count == 25
    assert [job.jobid for job in found.jobs] == ids[:4:-1]
    assert [job.state for job in found.jobs][:3] == [
        pb.JOB_STATE_QUEUED,
        pb.JOB_STATE_CANCELLED,
        pb.JOB_STATE_QUEUED,
    ]
    assert report(alpha.secret, now, show=True).job_count == 0


def test_no_value_is_kept(alpha: Any, now: datetime) -> None:
    report(alpha.token, now)

    assert alpha.token not in str([list(model.objects.values()) for model in (Credential, ClusterEvent)])
