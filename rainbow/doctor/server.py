"""What the server answers, and what it lets this cluster do."""

from datetime import UTC, datetime, timedelta

from rainbow import __version__
from rainbow.client import Client
from rainbow.config import Settings
from rainbow.doctor.findings import CheckFailed
from rainbow.errors import InvalidArgument, NotFound, RainbowError, Unauthenticated, Unimplemented

SECONDS = 5.0
NEAR = timedelta(seconds=30)
# No server has given out so many ids.
NO_JOB = 2**31 - 1
OLD = "Update the server; until then agents cannot report to it."


def answer(known: Settings) -> str:
    began = datetime.now(UTC)
    try:
        with _client(known) as client:
            client.serial("doctor")
    except RainbowError as error:
        advice = "Something else may listen there. Check host and port, and whether the server wants --tls."
        raise CheckFailed(str(error), advice=advice) from error
    return f"a rainbow server, in {(datetime.now(UTC) - began) / timedelta(milliseconds=1):.0f} ms"


def compare_versions(known: Settings) -> str:
    """A server that knows WatchJobs knows reports, too. The call changes nothing."""
    try:
        with _client(known) as client:
            version = client.serial("doctor").server_version
            next(client.watch_jobs([NO_JOB]), None)
    except Unimplemented as error:
        raise CheckFailed("the server is older than this client", advice=OLD) from error
    except (Unauthenticated, NotFound):
        pass
    except RainbowError as error:
        raise CheckFailed(str(error), advice=OLD) from error
    server = f", the server {version}" if version else ""
    return f"rainbow {__version__}{server}; the server knows all that it needs"


def compare_clocks(known: Settings) -> str:
    with _client(known) as client:
        began = datetime.now(UTC)
        answered_at = client.serial("doctor").answered_at
        ended = datetime.now(UTC)
    if answered_at is None:
        raise CheckFailed("the server does not say what time it has", advice=OLD)
    apart = answered_at - (began + (ended - began) / 2)
    words = f"{abs(apart).total_seconds():.1f} seconds {'behind' if apart > timedelta() else 'ahead of'} the server's"
    if abs(apart) > NEAR:
        advice = "Let both machines follow a time server (chronyc tracking): the times of jobs would be wrong."
        raise CheckFailed(f"this machine's clock is {words}", advice=advice)
    return f"this machine's clock is {words}"


def try_secret(known: Settings) -> str:
    """Accepting no job needs the secret, and is then refused for naming no job."""
    if not known.secret:
        advice = "Put it into RAINBOW_SECRET, the configuration file, or a file for --request-secret-file."
        raise CheckFailed(f"no secret is known for {known.cluster}", advice=advice)
    try:
        with _client(known) as client:
            client.accept_jobs([])
    except InvalidArgument:
        pass
    except RainbowError as error:
        advice = f"Is it the secret of {known.cluster}, and not its token? `rainbow rotate secret` makes a new one."
        raise CheckFailed(f"{error}: {known.described('secret')}", advice=advice) from error
    return f"it lets this machine pull the jobs of {known.cluster}"


def check_cluster(known: Settings) -> str:
    with _client(known) as client:
        summary = client.summarize_jobs()
    if summary.paused:
        raise CheckFailed(
            f"{known.cluster} is paused: {summary.paused}",
            advice="`rainbow resume` lets it get jobs again, and so can an operator.",
        )
    return ", ".join(f"{number:,} {state}" for state, number in summary.counts.items()) or "no jobs yet"


def _client(known: Settings) -> Client:
    return Client(
        known.host,
        cluster=known.cluster,
        secret=known.secret,
        timeout_seconds=SECONDS,
        **known.encryption,
    )
