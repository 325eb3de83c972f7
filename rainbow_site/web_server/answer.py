"""waitress's response task, except for responses without a body."""

from collections.abc import Iterable, Iterator
from typing import Any

from waitress.task import WSGITask

from rainbow_site.web.rest.authentication import PEER_CERTIFICATE

Application = Any


class Answer(WSGITask):  # type: ignore[misc]  # (waitress has no types)
    def get_environment(self) -> dict[str, Any]:
        """A client cannot set this key: what it sends has the prefix HTTP_."""
        environ: dict[str, Any] = super().get_environment()
        environ[PEER_CERTIFICATE] = self.channel.peer_certificate
        return environ

    def set_close_on_finish(self) -> None:
        """waitress closes the connection without a Content-Length, which these responses do not need (RFC 9112, section
        6.3).
        """
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or asked or self.version == "1.0":
            super().set_close_on_finish()


def without_bodies_for_head(application: Application) -> Application:
    """WSGI middleware: Django answers HEAD with a body, which the client would read as its next response."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = application(environ, start_response)
        return _Nothing(body) if environ["REQUEST_METHOD"] == "HEAD" else body

    return answer


class _Nothing:
    def __init__(self, body: Any) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        if hasattr(self._body, "close"):
            self._body.close()
