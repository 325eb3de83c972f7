"""A provider that answers what a test wants, signed or not, for the checks that a real one gives no cause for."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(slots=True)
class FalseProvider:
    """`answers` are by path; what is no text is sent as JSON. `asked` are the paths that were asked for.

    `moved` are redirects, by path. Of the paths that are `endless` the answer comes for as long as it is read, piece by
    piece, until the provider has `ended`.
    """

    issuer: str
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    endless: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def tells(self, nonce: str, *, key: Any = _KEY, algorithm: str = "RS256", info: Any = None, **claims: Any) -> None:
        """An ID token that would do but for these claims, of which None are left out, and a user info."""
        now = int(time.time())
        good = {
            "iss": self.issuer, "sub": "s-1", "aud": "rainbow", "iat": now, "exp": now + 60, "nonce": nonce,
            "groups": ["hpc-users"], "preferred_username": "ada",
        }  # fmt: skip
        told = {name: value for name, value in {**good, **claims}.items() if value is not None}
        token = jwt.encode(told, key, algorithm=algorithm, headers={"kid": "k"})
        self.answers["/token"] = {"access_token": "at-only-for-the-tests", "id_token": token, "token_type": "Bearer"}
        self.answers["/me"] = {"sub": "s-1"} if info is None else info


@contextmanager
def false_provider() -> Iterator[FalseProvider]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    issuer = f"http://127.0.0.1:{server.server_port}"
    server.provider = FalseProvider(issuer)  # type: ignore[attr-defined]
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_KEY.public_key()))
    names = {"authorization": "auth", "token": "token", "userinfo": "me", "end_session": "end"}
    found: FalseProvider = server.provider  # type: ignore[attr-defined]
    found.answers = {
        "/.well-known/openid-configuration": {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/jwks",
            **{f"{name}_endpoint": f"{issuer}/{path}" for name, path in names.items()},
        },
        "/jwks": {"keys": [{**public, "kid": "k", "alg": "RS256", "use": "sig"}]},
    }
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.ended.set()
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        provider: FalseProvider = self.server.provider  # type: ignore[attr-defined]
        provider.asked.append(self.path)
        answer = provider.answers.get(self.path)
        content = answer if isinstance(answer, str) else json.dumps(answer)
        if place := provider.moved.get(self.path):
            self.send_response(307)
            self.send_header("Location", place)
        else:
            self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        with suppress(ConnectionError):
            while self.path in provider.endless and not provider.ended.wait(0.05):
                self.wfile.write(b" ")
        self.wfile.write(content.encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass
