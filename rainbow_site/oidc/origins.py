"""Where forms of ours may lead by redirects: signing out, and what asks for the next sign-in."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings

# Of the endpoints that the provider told, once it was asked.
_told: set[str] = set()


def note_origins(addresses: Iterable[str]) -> None:
    _told.update(_origin(address) for address in addresses if address)


def origins() -> set[str]:
    """Empty without a provider."""
    return {_origin(settings.RAINBOW_OIDC_ISSUER), *_told} if settings.RAINBOW_OIDC_ISSUER else set()


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
