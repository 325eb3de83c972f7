"""The bearer token of scrapes of metrics, of the server's and of an agent's."""

import hashlib
import hmac
import logging
from pathlib import Path

from rainbow.telemetry.lines import Line, Quoted

SHORTEST, LONGEST = 16, 1_024


def read_token(path: str) -> bytes:
    """The first line of the file. Raises OSError, and ValueError for a token that is too short or too long."""
    with Path(path).open("rb") as file:
        token = file.readline(LONGEST + 2).strip()
    if not SHORTEST <= len(token) <= LONGEST:
        raise ValueError(f"the first line of {path} must be a token of {SHORTEST} to {LONGEST:,} bytes")
    return token


def admits(authorization: str, *, token_file: str, log: logging.Logger) -> bool:
    """Without a file, all. It is read each time, so that its token can be replaced while the process runs."""
    if not token_file:
        return True
    try:
        token = read_token(token_file)
    except (OSError, ValueError) as error:
        # Its words have the path alone, and never the token.
        log.warning(Line("refusing scrapes", error=Quoted(error)))
        return False
    return _presents(authorization, token)


def _presents(authorization: str, token: bytes) -> bool:
    """Whether the header, as WSGI and http.server decode it, has the token; takes the same time for any other."""
    scheme, _, given = authorization.partition(" ")
    # Digests have one length: the comparison tells nothing of the token's.
    is_same = hmac.compare_digest(_digest(given.strip().encode("latin-1", "replace")), _digest(token))
    return is_same and scheme.lower() == "bearer"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
