"""A provider whose answers are too long, never complete, or redirects: it costs its own sign-ins alone."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import Client

from rainbow_site.oidc import answers
from rainbow_site.oidc import provider as discovery
from rainbow_site.oidc.answers import MOST_BYTES, ProviderFailed, ask
from tests.support.false_provider import FalseProvider
from tests.support.patience import wait_until
from tests.support.sign_in_cast import begin, come_back, is_signed_in, provider

__all__ = ["provider"]
DOCUMENT = "/.well-known/openid-configuration"


@pytest.fixture
def impatient(provider: FalseProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Call it once what has to be complete is so."""
    yield lambda: monkeypatch.setattr(answers, "TIMEOUT_SECONDS", 1)
    provider.ended.set()
    wait_until(lambda: answers._UNDER_WAY._value == 8)


@pytest.mark.parametrize("path", ["/token", "/jwks", "/me"])
@pytest.mark.parametrize("how", ["long", "endless", "moved"])
def test_such_an_answer_signs_no_one_in(
    provider: FalseProvider, impatient: Callable[[], None], path: str, how: str
) -> None:
    client = Client()
    words = begin(client)
    provider.tells(words["nonce"])
    if how == "long":
        provider.answers[path] = " " * MOST_BYTES + json.dumps(provider.answers[path])
    elif how == "endless":
        provider.endless.add(path)
        impatient()
    else:
        provider.answers["/elsewhere"] = provider.answers[path]
        provider.moved[path] = f"{provider.issuer}/elsewhere"

    answer = come_back(client, words["state"])

    assert answer.status_code == 502
    assert not is_signed_in(client)
    assert "/elsewhere" not in provider.asked


def test_a_discovery_document_that_is_never_complete_is_waited_for_by_few(
    provider: FalseProvider, impatient: Callable[[], None]
) -> None:
    """Each waits in one of the few threads of a process of the web server."""
    impatient()
    provider.endless.add(DOCUMENT)

    with ThreadPoolExecutor(12) as threads:
        answered = list(threads.map(lambda _: _why_it_failed(), range(12)))

    assert provider.asked == [DOCUMENT]
    assert any("was not complete after" in why for why in answered)
    assert answered.count("it is being asked for its discovery document") >= 1


def test_answers_that_were_given_up_are_few(provider: FalseProvider, impatient: Callable[[], None]) -> None:
    provider.answers["/me"] = {}
    provider.endless.add("/me")
    impatient()

    told = [_why_it_fails(f"{provider.issuer}/me") for _ in range(9)]

    assert told[:8] == ["its answer was not complete after 1 seconds"] * 8
    assert told[8] == "too many of its answers are not complete yet"


def test_what_is_known_serves_while_the_provider_is_asked_again(
    provider: FalseProvider, impatient: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(Client())
    impatient()
    provider.endless.add(DOCUMENT)
    monkeypatch.setattr(discovery, "_KEEP_SECONDS", 0)

    with ThreadPoolExecutor(12) as threads:
        answered = list(threads.map(lambda _: _why_it_failed(), range(12)))

    assert answered == [""] * 12


def _why_it_failed() -> str:
    try:
        discovery.provider()
    except ProviderFailed as failure:
        return str(failure)
    return ""


def _why_it_fails(address: str) -> str:
    with pytest.raises(ProviderFailed) as failure:
        ask("GET", address)
    return str(failure.value)
