"""The client of a command, with the credential that it needs."""

import click

from rainbow import config
from rainbow.client import Client
from rainbow.client_session import DEFAULT_TIMEOUT_SECONDS
from rainbow.config import PERSONAL, Settings
from rainbow.errors import InvalidArgument, Unauthenticated, Unavailable
from rainbow.retries import Retries
from rainbow.telemetry import traces
from rainbow.terminal.formatting import count
from rainbow.terminal.options import flag_names, flags, secret_from_file_again, use_credential
from rainbow.terminal.output import complain
from rainbow.terminal.tracing import start_traces

WARNED = "rainbow.warned"


def settings(ctx: click.Context) -> Settings:
    known = config.settings(flags(ctx), named=flag_names(ctx))
    if known.unknown and not ctx.meta.get(WARNED):
        ctx.meta[WARNED] = True
        words = f"there is no setting {', '.join(known.unknown)}; known are {', '.join(config.DEFAULTS)}"
        complain(f"Warning: {config.config_path()}: {words}")
    return known


def stranger(ctx: click.Context) -> Client:
    """Without a credential of the cluster, perhaps with the server's registration secret."""
    known = settings(ctx)
    use_credential(ctx, known.described("registration_secret"))
    return _client(ctx, known)


def anybody(ctx: click.Context) -> Client:
    """Without a credential."""
    return _client(ctx, settings(ctx))


def submitter(ctx: click.Context) -> Client:
    known = settings(ctx)
    token = _required(known, "token", flag="--token-file")
    use_credential(ctx, known.described("token"))
    return _client(ctx, known, token=token)


def person(ctx: click.Context) -> Client:
    """With a token of a person, or whatever credential there is: the server says what it is good for."""
    known = settings(ctx)
    token = _required(known, "token", flag="--token-file")
    use_credential(ctx, known.described("token"))
    return _client(ctx, known, token=token, everywhere=True)


def puller(ctx: click.Context) -> Client:
    known = settings(ctx)
    secret = _required(known, "secret", flag="--request-secret-file")
    use_credential(ctx, known.described("secret"))
    return _client(ctx, known, secret=secret)


def own_puller(ctx: click.Context) -> Client:
    """With a personal token in the place of a cluster's secret: for the person's jobs alone."""
    known = settings(ctx)
    token = _required(known, "token", flag="--token-file")
    if not token.startswith(PERSONAL):
        raise Unauthenticated("--only-mine needs a personal token; `rainbow login` gets you one")
    use_credential(ctx, known.described("token"))
    return _client(ctx, known, secret=token)


def token_again(ctx: click.Context) -> str:
    """The configured token, read again; empty where it cannot be read."""
    try:
        return settings(ctx).token
    except (click.UsageError, InvalidArgument):
        return ""


def secret_again(ctx: click.Context) -> str:
    """The configured secret, read again; empty where it cannot be read."""
    try:
        in_file = secret_from_file_again(ctx)
        return settings(ctx).secret if in_file is None else in_file
    except (click.UsageError, InvalidArgument):
        return ""


def observer(ctx: click.Context, *, as_cluster: bool) -> Client:
    """With the token if there is one, unless only the secret was given."""
    known = settings(ctx)
    only_secret_given = "secret" in flags(ctx) and "token" not in flags(ctx)
    if as_cluster or only_secret_given or (known.secret and not known.token):
        return puller(ctx)
    return person(ctx) if is_of_people(known.token) else submitter(ctx)


def resumer(ctx: click.Context) -> Client:
    """With the secret if there is one, unless only a token was given."""
    known, said = settings(ctx), flags(ctx)
    return submitter(ctx) if not known.secret or ("token" in said and "secret" not in said) else puller(ctx)


def is_of_people(token: str) -> bool:
    """Whether this would be a token of a person or a project, which reaches more than one cluster."""
    return token.startswith((PERSONAL, "rbp_"))


def _client(
    ctx: click.Context, known: Settings, *, token: str = "", secret: str = "", everywhere: bool = False
) -> Client:
    """`everywhere`: for all that the credential reaches, unless the command line names a cluster."""
    if config.traces_wanted() and not traces.are_on():
        start_traces("rainbow-agent" if ctx.info_name == "agent" else "rainbow")
    return Client(
        known.host,
        cluster="" if everywhere and "cluster" not in flags(ctx) else known.cluster,
        token=token,
        secret=secret,
        timeout_seconds=flags(ctx).get("timeout", DEFAULT_TIMEOUT_SECONDS),
        **known.encryption,
        retries=Retries(on_pause=_Notice()),
    )


def _required(known: Settings, kind: str, *, flag: str) -> str:
    value: str = getattr(known, kind)
    if not value:
        where = f"use {flag}, RAINBOW_{kind.upper()} or {config.config_path()}"
        new = "`rainbow register --save` gets one for a new cluster"
        if kind == "token":
            new = f"`rainbow login` gets you one, {new}, and that of a pool is with the operators who made it"
        raise Unauthenticated(f"no {kind} is known for the cluster {known.cluster}; {where}; {new}")
    return value


class _Notice:
    """Prints why a command takes long, once for each length of time that it tries."""

    def __init__(self) -> None:
        self._said: set[float] = set()

    def __call__(self, failure: Unavailable, seconds: float) -> None:
        if seconds not in self._said:
            complain(f"{failure.message}; trying for {_length(seconds)}")
        self._said.add(seconds)


def _length(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    if minutes and not rest:
        return count(int(minutes), "minute")
    return f"{seconds:g} seconds" if seconds % 1 else count(int(seconds), "second")
