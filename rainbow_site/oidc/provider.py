"""Where the provider's endpoints are, as it says itself (OpenID Connect Discovery 1.0, section 4)."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from django.conf import settings

from rainbow_site.oidc.origins import note_origins

# Of one request to the provider, which holds one of the few threads of a process.
TIMEOUT_SECONDS = 10
_KEEP_SECONDS = 3_600
_lock = threading.Lock()


class ProviderFailed(Exception):
    """The provider does not answer, or not as it should; the text is for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """`end_session_endpoint` is empty where signing out at the provider is not offered."""

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    end_session_endpoint: str


@dataclass(slots=True)
class _Found:
    provider: Provider
    issuer: str
    at: float


_found: _Found | None = None


def provider() -> Provider:
    """Raises ProviderFailed. What was found is kept for an hour, and for longer while the provider fails."""
    global _found
    with _lock:
        issuer, known = settings.RAINBOW_OIDC_ISSUER, _found
        if known and known.issuer == issuer and time.monotonic() - known.at < _KEEP_SECONDS:
            return known.provider
        try:
            found = _discover(issuer)
        except ProviderFailed:
            if known is None or known.issuer != issuer:
                raise
            found = known.provider
        _found = _Found(found, issuer, time.monotonic())
        note_origins([found.authorization_endpoint, found.end_session_endpoint])
        return found


def _discover(issuer: str) -> Provider:
    try:
        answer = requests.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        told = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderFailed(f"no discovery document: {type(error).__name__}") from error
    if not isinstance(told, dict) or told.get("issuer") != issuer:
        raise ProviderFailed("the discovery document is of another issuer than RAINBOW_OIDC_ISSUER")
    return Provider(
        authorization_endpoint=_endpoint(told, "authorization_endpoint"),
        token_endpoint=_endpoint(told, "token_endpoint"),
        userinfo_endpoint=_endpoint(told, "userinfo_endpoint"),
        jwks_uri=_endpoint(told, "jwks_uri"),
        end_session_endpoint=_endpoint(told, "end_session_endpoint") if told.get("end_session_endpoint") else "",
    )


def _endpoint(told: dict[str, Any], name: str) -> str:
    """An https address; http only of an issuer that has it, too, which settings allow on this machine alone."""
    address = told.get(name)
    schemes = ("https://", "http://") if settings.RAINBOW_OIDC_ISSUER.startswith("http://") else ("https://",)
    if not isinstance(address, str) or not address.startswith(schemes):
        raise ProviderFailed(f"the discovery document has no usable {name}")
    return address
