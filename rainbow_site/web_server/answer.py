"""What goes back to the client: waitress's, but for answers without a body."""

from collections.abc import Iterable, Iterator
from typing import Any

from waitress.task import WSGITask

Application = Any


class Answer(WSGITask):  # type: ignore[misc]  # (waitress has no types)
    def set_close_on_finish(self) -> None:
        """waitress closes where no length is said. Of these none has to be (RFC 9112, section 6.3)."""
        asked = self.request.headers.get("CONNECTION", "").lower() == "close"
        if self.has_body or asked or self.version == "1.0":
            super().set_close_on_finish()


def without_bodies_for_head(application: Application) -> Application:
    """WSGI middleware: what Django says to HEAD has a body, which the client would take for its next answer."""

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
