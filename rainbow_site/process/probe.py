"""Whether the server of this container is ready: asks its web server for /readyz, by the server's own settings.

`python -m rainbow_site.process.probe` exits with 0 if it is, and otherwise says why it is not.
"""

import http.client
import ssl
import sys

from rainbow_site import settings

_PATIENCE_SECONDS = 8


def main() -> int:
    connection = _connection()
    try:
        connection.request("GET", "/readyz", headers={"Host": _known_host()})
        response = connection.getresponse()
        sys.stdout.write(f"{response.read().decode()}\n")
        return 0 if response.status == http.HTTPStatus.OK else 1
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    finally:
        connection.close()


def _connection() -> http.client.HTTPConnection:
    host, _, port = settings.RAINBOW_WEB_ADDRESS.rpartition(":")
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    if not settings.RAINBOW_WEB_TLS:
        return http.client.HTTPConnection(here, int(port), timeout=_PATIENCE_SECONDS)
    # The certificate is for the names that clients use. Nothing secret is sent.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(here, int(port), timeout=_PATIENCE_SECONDS, context=context)


def _known_host() -> str:
    """A name that the web server answers to: `.example.org` stands for that domain, `*` for any."""
    first = next(iter(settings.ALLOWED_HOSTS), "localhost")
    return "localhost" if first == "*" else first.removeprefix(".")


if __name__ == "__main__":
    sys.exit(main())
