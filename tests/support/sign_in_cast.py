"""A browser that signs in at a false provider."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from rainbow_site import urls
from rainbow_site.oidc import origins as told_origins
from rainbow_site.oidc import provider as discovery
from rainbow_site.oidc.urls import urlpatterns as provider_urls
from tests.support.false_provider import FalseProvider, false_provider
from tests.support.openid import SETTINGS

BACKENDS = ["rainbow_site.console.signing_in.ThrottledBackend", "rainbow_site.oidc.backend.ProviderBackend"]


@pytest.fixture
def provider(settings: Any, monkeypatch: pytest.MonkeyPatch, db: None) -> Iterator[FalseProvider]:
    monkeypatch.setattr(discovery, "_found", None)
    monkeypatch.setattr(discovery, "_failure", None)
    monkeypatch.setattr(told_origins, "_told", set())
    settings.AUTHENTICATION_BACKENDS = BACKENDS
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "rainbow_site.oidc.renewal.renew"]
    settings.ROOT_URLCONF = _urls()
    for name, value in SETTINGS.items():
        setattr(settings, name, [value] if name.endswith("S") else value)
    with false_provider() as running:
        settings.RAINBOW_OIDC_ISSUER = running.issuer
        yield running


def _urls() -> Any:
    module = ModuleType("urls_with_a_provider")
    for name in ("handler400", "handler403", "handler404", "handler500"):
        setattr(module, name, getattr(urls, name))
    module.urlpatterns = [*provider_urls, *urls.urlpatterns]  # type: ignore[attr-defined]  # (made here)
    return module


def begin(client: Client, then: str = "/admin/") -> dict[str, str]:
    """The words of the request to the provider."""
    answer = client.get("/oidc/authenticate/", {"next": then})
    assert answer.status_code == 302, answer.content
    return {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}


def come_back(client: Client, state: str, **more: str) -> Any:
    return client.get("/oidc/callback/", {"code": "c", "state": state, **more})


def sign_in(provider: FalseProvider, client: Client | None = None, **claims: Any) -> Any:
    client = client or Client()
    words = begin(client)
    provider.tells(claims.pop("nonce", words["nonce"]), **claims)
    return come_back(client, words["state"])


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session
