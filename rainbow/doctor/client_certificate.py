"""The certificate by which an agent is known to a server that asks for one."""

from datetime import UTC, datetime, timedelta

from rainbow.certificates import Certificate, NotUsable, read_certificate
from rainbow.config import Settings
from rainbow.doctor.findings import CheckFailed, Passed
from rainbow.errors import why

SOON = timedelta(days=14)
RENEW = "Renew it; a running agent takes the new one when it connects again."


def examine(known: Settings) -> str | Passed:
    if not (known.cert_file or known.key_file):
        return "none"
    found = _read(known)
    now, end = datetime.now(UTC), f"{found.expires_at:%Y-%m-%d %H:%M} UTC"
    if found.expires_at <= now:
        raise CheckFailed(f"{known.cert_file} expired at {end}", advice=RENEW)
    if known.cluster not in found.clusters:
        names = ", ".join(sorted(found.clusters)) or "no cluster"
        advice = f"Its alternative names must have DNS:{known.cluster} or URI:rainbow://cluster/{known.cluster}."
        raise CheckFailed(f"{known.cert_file} is for {names}, not for {known.cluster}", advice=advice)
    return Passed(what=f"for {known.cluster}, valid until {end}", advice=RENEW if found.expires_at - now < SOON else "")


def _read(known: Settings) -> Certificate:
    if not (known.cert_file and known.key_file):
        raise CheckFailed("a certificate and its key go together", advice="Name both --cert-file and --key-file.")
    try:
        return read_certificate(known.cert_file, known.key_file, of_server=False)
    except NotUsable as error:
        advice = "It must be a certificate for clients (extendedKeyUsage clientAuth, if it has any), with its own key."
        raise CheckFailed(f"{known.cert_file} with {known.key_file}: {error}", advice=advice) from error
    except OSError as error:
        advice = "Check --cert-file and --key-file, and that this user may read them."
        raise CheckFailed(f"cannot read {known.cert_file} or {known.key_file}: {why(error)}", advice=advice) from error
