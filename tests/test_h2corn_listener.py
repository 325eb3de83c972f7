"""How a listener follows renewals and ends of its server; tests/test_h2corn_server.py has the real one."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from grpc_api.transport.asgi import h2corn_listener
from grpc_api.transport.asgi.h2corn_listener import H2cornListener
from grpc_api.transport.tls import Certificate, Pem
from rainbow_site.process.certificate_watch import CertificateState
from tests.support.patience import PATIENCE_SECONDS


class Server:
    """Of h2corn's the part that the listener uses."""

    def __init__(self, *given: object) -> None:
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        await self._ended.wait()

    async def wait_started(self) -> None: ...

    def shutdown(self) -> None:
        self._ended.set()


class World:
    """The certificates that servers were started with, and whether one can start now."""

    def __init__(self) -> None:
        self.started: list[bytes] = []
        self.fails = ""
        self.tried = 0
        self.certificate = SimpleNamespace(current=Pem(cert=b"old", key=b"key"))

    @contextmanager
    def configured(self, socket: int, pem: Pem, **options: object) -> Iterator[None]:
        self.tried += 1
        if self.fails:
            raise RuntimeError(self.fails)
        self.started.append(pem.cert)
        yield


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> CertificateState:
    state = CertificateState()
    monkeypatch.setattr(h2corn_listener, "STATE", state)
    return state


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, state: CertificateState) -> World:
    world = World()
    monkeypatch.setattr(h2corn_listener, "_FOLLOWS_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(h2corn_listener, "configured", world.configured)
    monkeypatch.setattr(h2corn_listener, "h2corn", lambda: SimpleNamespace(Server=Server))
    return world


def follow(world: World, work: Callable[[H2cornListener], Awaitable[None]]) -> None:
    async def run() -> None:
        listener = H2cornListener(
            "127.0.0.1:0",
            cast(Any, None),
            share_port=False,
            certificate=cast(Certificate, world.certificate),
            client_certificates=False,
            log_as_json=False,
        )
        await listener.start()
        await work(listener)
        await asyncio.gather(*listener.close())

    asyncio.run(run())


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await asyncio.sleep(0.01)


def test_a_renewal_that_fails_is_tried_again(
    world: World, state: CertificateState, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(listener: H2cornListener) -> None:
        world.fails, world.certificate.current = "no file left", Pem(cert=b"new", key=b"key")
        await until(lambda: world.tried >= 4)
        assert "no file left" in state.trouble
        world.fails = ""
        await until(lambda: world.started == [b"old", b"new"])
        await until(lambda: not state.trouble)

    follow(world, work)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_server_that_ended_is_replaced_and_is_no_trouble_of_the_certificate(
    world: World, state: CertificateState, caplog: pytest.LogCaptureFixture
) -> None:
    state.trouble = "RAINBOW_TLS_CERT: cannot read it"

    async def work(listener: H2cornListener) -> None:
        world.fails = "no file left"
        next(iter(listener._servers.values())).shutdown()
        await until(lambda: world.tried >= 4)
        world.fails = ""
        await until(lambda: world.started == [b"old", b"old"])
        await until(lambda: len(listener._servers) == 1)

    follow(world, work)
    assert state.trouble == "RAINBOW_TLS_CERT: cannot read it"
    assert len(caplog.records) == 2
