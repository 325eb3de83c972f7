"""A client for what a command wants to do, with the credential that this takes."""

import click

from rainbow import config
from rainbow.client import DEFAULT_TIMEOUT_SECONDS, Client
from rainbow.commands.options import flags
from rainbow.commands.output import complain
from rainbow.config import Settings
from rainbow.errors import Unauthenticated, Unavailable
from rainbow.retries import Retries


def settings(ctx: click.Context) -> Settings:
    return config.settings(flags(ctx))


def stranger(ctx: click.Context) -> Client:
    """Someone without a credential of the cluster."""
    return _client(ctx, settings(ctx))


def submitter(ctx: click.Context) -> Client:
    known = settings(ctx)
    return _client(ctx, known, token=_required(known, "token", flag="--token-file"))


def puller(ctx: click.Context) -> Client:
    known = settings(ctx)
    return _client(ctx, known, secret=_required(known, "secret", flag="--request-secret-file"))


def observer(ctx: click.Context, *, as_cluster: bool) -> Client:
    """Someone who looks at jobs: with the token if there is one and nobody asked for the secret."""
    known = settings(ctx)
    only_secret_told = "secret" in flags(ctx) and "token" not in flags(ctx)
    if as_cluster or only_secret_told or (known.secret and not known.token):
        return puller(ctx)
    return submitter(ctx)


def _client(ctx: click.Context, known: Settings, *, token: str = "", secret: str = "") -> Client:
    return Client(
        known.host,
        cluster=known.cluster,
        token=token,
        secret=secret,
        timeout_seconds=flags(ctx).get("timeout", DEFAULT_TIMEOUT_SECONDS),
        tls=known.tls,
        ca_file=known.ca_file or None,
        retries=Retries(on_pause=_Notice()),
    )


def _required(known: Settings, kind: str, *, flag: str) -> str:
    value: str = getattr(known, kind)
    if not value:
        where = f"use {flag}, RAINBOW_{kind.upper()} or {config.config_path()}"
        raise Unauthenticated(f"no {kind} is known for the cluster {known.cluster}; {where}")
    return value


class _Notice:
    """Tells a person, once, why a command takes its time."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self, failure: Unavailable, seconds: float) -> None:
        if not self._told:
            complain(f"{failure.message}; trying for {seconds:g} seconds")
        self._told = True
