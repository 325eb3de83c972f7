import re
from collections.abc import Callable, Iterable
from typing import Any

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

_CHARSET = re.compile(r";\s*charset=(\"[^\"]*\"|[^;]*)", re.IGNORECASE)


def read_as_utf8(application: Application) -> Application:
    """WSGI middleware: queries and bodies are UTF-8 (RFC 8259, section 8.1), whatever charset a header claims.

    Django believes the claim before any middleware of its own, and fails with 500 over codecs such as `hex`.
    """

    def read_and_serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
        return application(environ, start_response)

    return read_and_serve
