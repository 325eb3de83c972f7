"""People over gRPC: what their tokens do, and how they make and revoke them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from clusters.callers import Caller, Claim, Operator
from clusters.models import Login, Role
from clusters.services import logins
from clusters.services.authenticate import admit
from clusters.services.logins import LIFE, begin_login, decide_login, find_login
from clusters.services.personal_tokens import Wish, create_project_token
from clusters.services.projects import Change, add_member, grant_cluster, remove_member, share_jobs
from grpc_api.rpcs.jobs import cancel, get, list_page, summarize
from grpc_api.rpcs.login import begin, collect
from grpc_api.rpcs.people import create, list_tokens, revoke, who_am_i
from grpc_api.rpcs.submission import submit_many
from jobs.models import Job
from rainbow.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from rainbow.protos import rainbow_pb2 as pb
from tests.support.members import caller_with, personal_token, project_of

pytestmark = pytest.mark.django_db


def at(token: str, cluster: str = "", *, now: datetime, reads: bool = False) -> Caller:
    return admit(Claim(value=token, cluster=cluster or None, reads=reads), now=now)


def submit(caller: Caller, now: datetime, **spec: Any) -> list[int | str]:
    """The ids, or why not."""
    request = pb.SubmitJobsRequest(jobs=[pb.JobSpec(command="hostname", nodes=1, **spec)])
    results = submit_many(request, caller, now).reply.results
    return [result.jobid or f"{result.error.field}: {result.error.message}" for result in results]


def listed(caller: Caller, now: datetime) -> list[int]:
    return sorted(job.id for job in list_page(pb.ListJobsRequest(), caller, now).jobs)


def test_a_job_of_a_person_names_its_owner_and_project(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    token = personal_token(alice, now=now)

    (job_id,) = submit(at(token, "alpha", now=now), now)

    (job,) = get(pb.GetJobsRequest(jobids=[int(job_id)], with_events=True), at(token, now=now), now).jobs
    assert (job.owner, job.project, job.cluster, job.submitted_by) == ("alice", "chem", "alpha", "laptop")
    assert [event.who for event in job.events] == ["alice (laptop)"]


def test_the_project_is_named_where_several_may_use_the_cluster(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", now=now)
    project_of(alice, name="bio", now=now)
    caller = at(personal_token(alice, now=now), "alpha", now=now)

    (job_id,) = submit(caller, now, project="bio")

    assert Job.objects.get(id=job_id).project.name == "bio"  # type: ignore[union-attr]
    assert submit(caller, now) == ["project: must be one of bio, chem"]
    assert submit(caller, now, project="none") == ["project: must be one of bio, chem"]


def test_a_call_for_no_cluster_submits_nothing(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)

    assert submit(at(personal_token(alice, now=now), now=now), now) == ["cluster: name a cluster or a pool"]
    with pytest.raises(InvalidArgument, match="cluster: name a cluster or a pool"):
        summarize(pb.SummarizeJobsRequest(), at(personal_token(alice, label="2", now=now), now=now), now)


def test_a_token_of_a_cluster_acts_for_no_project(alpha: Any, now: datetime) -> None:
    refusal = "project: a cluster's token acts for no project; leave it out"

    assert submit(at(alpha.token, now=now), now, project="chem") == [refusal]


def test_people_see_their_own_jobs_and_a_sharing_project_all(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project = project_of(alice, bob, now=now)
    of_alice = at(personal_token(alice, now=now), "alpha", now=now)
    of_bob = at(personal_token(bob, now=now), "alpha", now=now)
    (mine,), (his,) = submit(of_alice, now), submit(of_bob, now)
    alpha_job = submit(at(alpha.token, now=now), now)[0]

    assert (listed(of_alice, now), listed(of_bob, now)) == ([mine], [his])
    assert listed(at(alpha.token, now=now), now) == [alpha_job]
    assert listed(at(alpha.secret, now=now), now) == sorted([mine, his, alpha_job])

    share_jobs(project_id=project.id, shares=True, change=Change(by=None, now=now))
    sharing = at(personal_token(alice, label="new", now=now), now=now)
    assert listed(sharing, now) == sorted([mine, his])
    outcomes = cancel(pb.CancelJobsRequest(jobids=[int(his), int(mine), int(alpha_job)]), sharing, now).results
    seen, own, unknown = outcomes
    assert (seen.outcome, seen.message) == (
        pb.CancelResult.OUTCOME_NOT_FOUND, "only its owner and the leads of its project may cancel it",
    ), "seeing is not acting"  # fmt: skip
    assert own.message == "cancelled"
    assert (unknown.outcome, unknown.message) == (pb.CancelResult.OUTCOME_NOT_FOUND, "there is no such job")


def test_a_lead_sees_and_cancels_the_jobs_of_the_project(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project_of(alice, lead=bob, now=now)
    (job_id,) = submit(at(personal_token(alice, now=now), "alpha", now=now), now)
    lead = at(personal_token(bob, now=now), now=now)

    assert listed(lead, now) == [job_id]
    (result,) = cancel(pb.CancelJobsRequest(jobids=[int(job_id)]), lead, now).results
    assert result.message == "cancelled"


def test_a_project_token_sees_its_projects_jobs_and_no_others(alpha: Any, alice: Operator, now: datetime) -> None:
    project = project_of(lead=alice, now=now)
    project_of(alice, name="bio", now=now)
    token = create_project_token(project_id=project.id, wish=Wish(label="ci"), change=Change(by=alice, now=now)).value
    of_alice = at(personal_token(alice, now=now), "alpha", now=now)
    (in_chem,), _ = submit(of_alice, now, project="chem"), submit(of_alice, now, project="bio")

    (own,) = submit(at(token, "alpha", now=now), now)

    assert listed(at(token, now=now), now) == sorted([in_chem, own])
    job = Job.objects.get(id=own)
    assert (job.owner, str(job.project)) == (None, "chem")


def test_a_narrowed_token_sees_what_it_is_narrowed_to(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", at=("alpha", "beta"), now=now)
    project_of(alice, name="bio", at=("alpha",), now=now)
    whole = personal_token(alice, now=now)
    at_alpha = at(whole, "alpha", now=now)
    jobs = {
        "bio": submit(at_alpha, now, project="bio")[0],
        "chem": submit(at_alpha, now, project="chem")[0],
        "beta": submit(at(whole, "beta", now=now), now)[0],
    }

    for wish, seen in (
        ({"project": "bio"}, ["bio"]),
        ({"clusters": ["beta"]}, ["beta"]),
        ({"project": "chem", "clusters": ["alpha"]}, ["chem"]),
        ({}, ["bio", "chem", "beta"]),
    ):
        token = personal_token(alice, label=str(wish), now=now, **wish)  # type: ignore[arg-type]
        assert listed(at(token, now=now), now) == sorted(jobs[name] for name in seen), wish


def test_people_do_not_meet_each_others_idempotency_keys(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project_of(alice, bob, now=now)
    of_alice = at(personal_token(alice, now=now), "alpha", now=now)
    of_bob = at(personal_token(bob, now=now), "alpha", now=now)
    by_another_token = at(personal_token(alice, label="desktop", now=now), "alpha", now=now)

    (first,) = submit(of_alice, now, idempotency_key="nightly")

    assert submit(by_another_token, now, idempotency_key="nightly") == [first], "it is hers with any of her tokens"
    assert submit(of_bob, now, idempotency_key="nightly") != [first]
    assert submit(at(alpha.token, now=now), now, idempotency_key="nightly") != [first]
    assert Job.objects.get(id=first).key == "nightly"
    squatter = submit(at(alpha.token, now=now), now, idempotency_key=f"u{alice.user_id}\nnightly2")
    assert squatter == ["idempotency_key: must not contain control characters"]


def test_a_key_of_a_job_of_one_project_stands_for_none_of_another(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", now=now)
    project_of(alice, name="bio", now=now)
    caller = at(personal_token(alice, now=now), "alpha", now=now)
    narrowed = at(personal_token(alice, label="ci", project="bio", now=now), "alpha", now=now)

    (first,) = submit(caller, now, project="chem", idempotency_key="nightly")

    assert submit(caller, now, project="chem", idempotency_key="nightly") == [first]
    conflict = ["idempotency_key: another job was submitted under this key"]
    assert submit(caller, now, project="bio", idempotency_key="nightly") == conflict
    assert submit(narrowed, now, idempotency_key="nightly") == conflict


def test_who_am_i(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, name="chem", at=("beta", "alpha"), now=now)
    project_of(lead=alice, name="bio", now=now)

    me = who_am_i(pb.WhoAmIRequest(), at(personal_token(alice, now=now), now=now), now)

    assert (me.kind, me.person, me.label, me.cluster) == (pb.CREDENTIAL_KIND_PERSONAL, "alice", "laptop", "")
    assert [(one.name, one.lead, list(one.clusters)) for one in me.projects] == [
        ("bio", True, ["alpha"]),
        ("chem", False, ["alpha", "beta"]),
    ]
    assert me.expires_at.ToDatetime() - now.replace(tzinfo=None) == timedelta(days=90)
    own = who_am_i(pb.WhoAmIRequest(), at(alpha.token, now=now), now)
    assert (own.kind, own.cluster, own.person) == (pb.CREDENTIAL_KIND_TOKEN, "alpha", "")


def test_a_person_makes_lists_and_revokes_tokens(alpha: Any, alice: Operator, bob: Operator, now: datetime) -> None:
    project_of(alice, bob, now=now)
    caller = at(personal_token(alice, now=now), now=now)
    request = pb.CreateTokenRequest(label="ci", days=7, project="chem", clusters=["alpha", "alpha"], reads_only=True)

    made = create(request, caller, now)

    listed_tokens = list_tokens(pb.ListTokensRequest(), caller, now).tokens
    assert [one.label for one in listed_tokens] == ["ci", "laptop"]
    ci = listed_tokens[0]
    assert ci == made.token
    assert (ci.project, list(ci.clusters), ci.reads_only) == ("chem", ["alpha"], True)
    assert caller_with(made.value, cluster="alpha", reads=True, now=now).person == "alice"
    other = at(personal_token(bob, now=now), now=now)
    with pytest.raises(NotFound):
        revoke(pb.RevokeTokenRequest(id=ci.id), other, now)
    revoke(pb.RevokeTokenRequest(id=ci.id, reason="done"), caller, now)
    with pytest.raises(Unauthenticated):
        at(made.value, now=now, reads=True)
    with pytest.raises(FailedPrecondition):
        revoke(pb.RevokeTokenRequest(id=ci.id), caller, now)


@pytest.mark.parametrize("wish", [{"project": "chem"}, {"clusters": ["alpha"]}])
def test_a_narrowed_token_makes_no_others(alpha: Any, alice: Operator, wish: dict[str, Any], now: datetime) -> None:
    project_of(alice, now=now)
    caller = at(personal_token(alice, now=now, **wish), now=now)

    with pytest.raises(PermissionDenied, match="a token that is narrowed makes no others"):
        create(pb.CreateTokenRequest(label="wider"), caller, now)


@pytest.mark.parametrize("wish", [{"project": "chem"}, {"clusters": ["alpha"]}])
def test_a_narrowed_token_lists_no_others(alpha: Any, alice: Operator, wish: dict[str, Any], now: datetime) -> None:
    project_of(alice, now=now)
    caller = at(personal_token(alice, now=now, **wish), now=now)

    with pytest.raises(PermissionDenied, match="a token that is narrowed lists no others"):
        list_tokens(pb.ListTokensRequest(), caller, now)


def test_a_narrowed_token_revokes_itself_alone(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    other = at(personal_token(alice, label="laptop", now=now), now=now)
    narrowed = at(personal_token(alice, label="ci", project="chem", now=now), now=now)

    with pytest.raises(PermissionDenied, match="a token that is narrowed revokes no others"):
        revoke(pb.RevokeTokenRequest(id=other.credential_id), narrowed, now)
    revoke(pb.RevokeTokenRequest(id=narrowed.credential_id), narrowed, now)

    assert [one.label for one in list_tokens(pb.ListTokensRequest(), other, now).tokens] == ["laptop"]


@pytest.mark.parametrize("name", ["chem", "no-such"])
def test_who_leads_no_project_does_not_learn_whether_it_is_there(
    alpha: Any, alice: Operator, name: str, now: datetime
) -> None:
    project_of(now=now)

    with pytest.raises(NotFound, match=f"you lead no project '{name}'"):
        create(
            pb.CreateTokenRequest(label="ci", project=name, for_project=True),
            at(personal_token(alice, now=now), now=now),
            now,
        )


def test_an_idempotency_key_of_a_person_has_to_leave_room(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    caller = at(personal_token(alice, now=now), "alpha", now=now)

    (kept,) = submit(caller, now, idempotency_key="k" * 243)
    (refused,) = submit(caller, now, idempotency_key="k" * 255)

    assert isinstance(kept, int)
    assert "idempotency_key: must have at most 2" in str(refused)


def test_what_is_taken_away_ends_what_a_token_sees_of_others(
    alpha: Any, alice: Operator, bob: Operator, now: datetime
) -> None:
    project = project_of(alice, now=now)
    add_member(project_id=project.id, person="bob", role=Role.LEAD, change=Change(by=None, now=now))
    (job_id,) = submit(at(personal_token(alice, now=now), "alpha", now=now), now)
    token = personal_token(bob, now=now)
    assert listed(at(token, now=now), now) == [job_id]

    remove_member(project_id=project.id, person="bob", change=Change(by=None, now=now))

    assert listed(at(token, now=now), now) == []


def test_a_grant_is_used_at_once(alpha: Any, beta: Any, alice: Operator, now: datetime) -> None:
    project = project_of(alice, now=now)
    token = personal_token(alice, now=now)
    with pytest.raises(Unauthenticated):
        at(token, "beta", now=now)

    grant_cluster(project_id=project.id, cluster="beta", change=Change(by=None, now=now))

    assert at(token, "beta", now=now).cluster == "beta"


def test_a_command_line_is_signed_in_by_a_person(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    begun = begin(pb.BeginLoginRequest(label="laptop", days=7), "192.0.2.7", now)
    assert collect(pb.CollectLoginRequest(login=begun.login), now).state == pb.CollectLoginResponse.STATE_PENDING

    shown = find_login(code=begun.code.lower().replace("-", " "), now=now)
    assert (shown.label, shown.address) == ("laptop", "192.0.2.7")
    decide_login(code=begun.code, approve=True, by=alice, now=now)

    done = collect(pb.CollectLoginRequest(login=begun.login), now)
    assert (done.state, done.person, done.token.label) == (pb.CollectLoginResponse.STATE_APPROVED, "alice", "laptop")
    assert done.token.expires_at.ToDatetime() - now.replace(tzinfo=None) == timedelta(days=7)
    assert at(done.value, "alpha", now=now).person == "alice"
    with pytest.raises(NotFound, match="this login is over"):
        collect(pb.CollectLoginRequest(login=begun.login), now)
    assert not [row for row in Login.objects.values() if begun.login in str(row)]


def test_a_second_login_of_a_machine_gets_a_token_of_its_own(alpha: Any, alice: Operator, now: datetime) -> None:
    project_of(alice, now=now)
    labels = []
    for _ in range(2):
        begun = begin(pb.BeginLoginRequest(label="laptop"), "192.0.2.7", now)
        decide_login(code=begun.code, approve=True, by=alice, now=now)
        labels.append(collect(pb.CollectLoginRequest(login=begun.login), now).token.label)

    assert labels == ["laptop", "laptop 2026-11-01 12:00:00"]


def test_a_login_is_denied_or_its_time_is_over(alice: Operator, now: datetime) -> None:
    denied = begin(pb.BeginLoginRequest(label="laptop"), "192.0.2.7", now)
    late = begin(pb.BeginLoginRequest(label="laptop"), "192.0.2.7", now)

    decide_login(code=denied.code, approve=False, by=alice, now=now)

    assert collect(pb.CollectLoginRequest(login=denied.login), now).state == pb.CollectLoginResponse.STATE_DENIED
    for code, at_time in ((denied.code, now), (late.code, now + LIFE)):
        with pytest.raises(NotFound, match="code: there is no such code"):
            decide_login(code=code, approve=True, by=alice, now=at_time)
    with pytest.raises(NotFound):
        collect(pb.CollectLoginRequest(login=late.login), now + LIFE)


def test_a_person_who_is_disabled_meanwhile_gets_no_token_that_works(
    alpha: Any, alice: Operator, now: datetime
) -> None:
    project_of(alice, now=now)
    begun = begin(pb.BeginLoginRequest(label="laptop"), "192.0.2.7", now)
    decide_login(code=begun.code, approve=True, by=alice, now=now)
    User.objects.filter(id=alice.user_id).update(is_active=False)

    value = collect(pb.CollectLoginRequest(login=begun.login), now).value

    with pytest.raises(Unauthenticated):
        at(value, now=now)


def test_logins_that_wait_are_bounded_by_address_and_in_all(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr(logins, "MAX_FROM_ADDRESS", 2)
    monkeypatch.setattr(logins, "MAX_PENDING", 3)

    def begun(address: str, at_time: datetime = now) -> str:
        return begin_login(label="x", address=address, now=at_time).code

    begun("192.0.2.7"), begun("192.0.2.7"), begun("192.0.2.8")
    for address in ("192.0.2.7", "192.0.2.9"):
        with pytest.raises(ResourceExhausted, match="too many logins wait"):
            begun(address)
    assert begun("192.0.2.7", now + LIFE)
