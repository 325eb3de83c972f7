"""Sessions of people who sign in to a running server with a password."""

import json
import subprocess
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from tests.support.console import PASSWORD
from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import MANAGE, RainbowServer, environment_for

_MAKE = """
from django.contrib.auth.models import Group, Permission, User
account = User.objects.create_user({name!r}, password={password!r}, is_staff=True)
account.groups.set(Group.objects.filter(name__in={groups!r}))
account.user_permissions.set(Permission.objects.filter(codename__in={permissions!r}))
"""


@dataclass(slots=True)
class Person:
    server: RainbowServer
    jar: CookieJar = field(default_factory=CookieJar)

    def get(self, path: str) -> Any:
        return json.loads(self._ask(Request(self.server.web + path)))

    def page(self, path: str) -> str:
        return self._ask(Request(self.server.web + path)).decode()

    def post(self, path: str, content: Any) -> Any:
        headers = {"Content-Type": "application/json", "X-CSRFToken": self._token()}
        return json.loads(self._ask(Request(self.server.web + path, json.dumps(content).encode(), headers)))

    def sign_in(self, name: str, password: str) -> None:
        page = self.server.web + "/admin/login/"
        self._ask(Request(page))
        form = {"username": name, "password": password, "csrfmiddlewaretoken": self._token()}
        self._ask(Request(page, urlencode(form).encode()))
        assert "sessionid" in {cookie.name for cookie in self.jar}

    def _ask(self, request: Request) -> bytes:
        opener: OpenerDirector = build_opener(HTTPCookieProcessor(self.jar))
        with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
            found: bytes = answer.read()
            return found

    def _token(self) -> str:
        return next(cookie.value or "" for cookie in self.jar if cookie.name == "csrftoken")


def signed_in_at(server: RainbowServer, name: str, *groups: str, permissions: tuple[str, ...] = ()) -> Person:
    """Create a staff account and sign in. Answers of 400 and more raise HTTPError."""
    code = _MAKE.format(name=name, password=PASSWORD, groups=groups, permissions=permissions)
    make = [*MANAGE, "shell", "--verbosity=0", "--command", code]
    subprocess.run(make, env=environment_for(server.database_url), check=True, timeout=PATIENCE_SECONDS)
    person = Person(server)
    person.sign_in(name, PASSWORD)
    return person
