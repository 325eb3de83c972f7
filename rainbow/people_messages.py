"""Translates messages about people into records."""

from rainbow import people, records
from rainbow.protos import rainbow_pb2 as pb
from rainbow.translation import KINDS_BY_NUMBER, STATES_BY_NUMBER, moment, nonsense, refusing_nonsense

MOST_LISTED = 1_000
# A server that says less would be asked without a pause.
_SHORTEST_POLL, _LONGEST_POLL = 1, 60
_STATES = {
    pb.CollectLoginResponse.STATE_PENDING: people.LoginState.PENDING,
    pb.CollectLoginResponse.STATE_APPROVED: people.LoginState.APPROVED,
    pb.CollectLoginResponse.STATE_DENIED: people.LoginState.DENIED,
}
_KINDS = {
    **KINDS_BY_NUMBER,
    pb.CREDENTIAL_KIND_PERSONAL: records.CredentialKind.PERSONAL,
    pb.CREDENTIAL_KIND_PROJECT: records.CredentialKind.PROJECT,
}


@refusing_nonsense()
def identity(answer: pb.WhoAmIResponse) -> people.Identity:
    return people.Identity(
        kind=_KINDS[answer.kind],
        label=answer.label,
        cluster=answer.cluster,
        person=answer.person,
        projects=tuple(_project(item) for item in answer.projects[:MOST_LISTED]),
        expires_at=moment(answer, "expires_at"),
        reads_only=answer.reads_only,
    )


def tokens(answer: pb.ListTokensResponse) -> tuple[people.Token, ...]:
    return tuple(_token(item) for item in answer.tokens[:MOST_LISTED])


def new_token(answer: pb.CreateTokenResponse | pb.CollectLoginResponse) -> people.NewToken:
    if not answer.value:
        raise nonsense("it gives no token")
    return people.NewToken(value=answer.value, token=_token(answer.token))


@refusing_nonsense()
def leak(answer: pb.RevokeLeakedResponse) -> people.Leak:
    jobs = answer.jobs[:MOST_LISTED]
    return people.Leak(
        kind=_KINDS[answer.kind],
        label=answer.label,
        cluster=answer.cluster,
        person=answer.person,
        project=answer.project,
        created_at=moment(answer, "created_at"),
        last_used_at=moment(answer, "last_used_at"),
        expires_at=moment(answer, "expires_at"),
        revoked_at=moment(answer, "revoked_at"),
        revoked_now=answer.revoked_now,
        job_count=answer.job_count,
        jobs=tuple(people.LeakedJob(id=job.jobid, state=STATES_BY_NUMBER[job.state]) for job in jobs),
    )


def login(answer: pb.BeginLoginResponse) -> people.Login:
    if not (answer.login and answer.code):
        raise nonsense("it gives no code")
    return people.Login(
        login=answer.login,
        code=answer.code,
        page=answer.page,
        expires_at=moment(answer, "expires_at"),
        poll_every_seconds=min(max(answer.poll_every_seconds, _SHORTEST_POLL), _LONGEST_POLL),
    )


@refusing_nonsense()
def login_answer(answer: pb.CollectLoginResponse) -> people.LoginAnswer:
    state = _STATES[answer.state]
    if state != people.LoginState.APPROVED:
        return people.LoginAnswer(state=state)
    return people.LoginAnswer(state=state, person=answer.person, new=new_token(answer))


def _project(message: pb.Project) -> people.Project:
    return people.Project(
        name=message.name,
        lead=message.lead,
        shares_jobs=message.shares_jobs,
        clusters=tuple(message.clusters[:MOST_LISTED]),
    )


def _token(message: pb.Token) -> people.Token:
    return people.Token(
        id=message.id,
        label=message.label,
        project=message.project,
        clusters=tuple(message.clusters[:MOST_LISTED]),
        reads_only=message.reads_only,
        created_at=moment(message, "created_at"),
        last_used_at=moment(message, "last_used_at"),
        expires_at=moment(message, "expires_at"),
    )
