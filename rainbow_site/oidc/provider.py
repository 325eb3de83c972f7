"""Where the provider's endpoints are, as it says itself (OpenID Connect Discovery 1.0, section 4)."""

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from rainbow_site.oidc.answers import ProviderFailed, ask
from rainbow_site.oidc.origins import note_origins

_KEEP_SECONDS = 3_600
# While it fails, those who come meanwhile are told so at once.
_FAILS_FOR_SECONDS = 5
_lock = threading.Lock()
# The threads of a process are few, and each holds one while it waits for the lock.
_ASKING = threading.BoundedSemaphore(3)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    text: str
    issuer: str
    at: float


_found: _Found | None = None
_failure: _Failure | None = None


def provider() -> Provider:
    """Raises ProviderFailed. What was found is kept for an hour, and for longer while the provider fails."""
    if known := _known(_KEEP_SECONDS):
        return known
    if not _ASKING.acquire(blocking=False):
        if known := _known(math.inf):
            return known
        raise ProviderFailed("it is being asked for its discovery document")
    try:
        with _lock:
            return _known(_KEEP_SECONDS) or _ask_again()
    finally:
        _ASKING.release()


def _known(seconds: float) -> Provider | None:
    found = _found
    if found and found.issuer == settings.RAINBOW_OIDC_ISSUER and time.monotonic() - found.at < seconds:
        return found.provider
    return None


def _ask_again() -> Provider:
    global _found, _failure
    issuer, failure = settings.RAINBOW_OIDC_ISSUER, _failure
    if failure and failure.issuer == issuer and time.monotonic() - failure.at < _FAILS_FOR_SECONDS:
        raise ProviderFailed(failure.text)
    try:
        found = _discover(issuer)
    except ProviderFailed as error:
        known = _known(math.inf)
        if known is None:
            _failure = _Failure(text=str(error), issuer=issuer, at=time.monotonic())
            raise
        found = known
    _found = _Found(found, issuer, time.monotonic())
    note_origins([found.authorization_endpoint, found.end_session_endpoint])
    return found


def _discover(issuer: str) -> Provider:
    told = ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration").json()
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
