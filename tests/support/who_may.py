"""All endpoints of REST and all pages, and who gets past their checks: what docs/who-may.md says in tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any

from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver

from rainbow_site.urls import urlpatterns

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Browsers send no others. Those that Django's views take besides do the same as one of these.
_OF_PAGES = ("GET", "POST")
# They answer all addresses that are none, with 404.
_CATCH_ALL = ("^(?:api|iri)/", "admin/(?P<url>.*)$")
_APP = r"^(?P<app_label>auth|clusters|jobs)/$"
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
# With the page to go to then: signing out, and the home page, lead there without.
_SIGN_IN = ("/sign-in/?", "/admin/login/?")
# What a page needs to know for whom it is.
_SAID = {"/my/projects/<cluster:name>/members/remove/": "person=member"}
_ROW = re.compile(r"^\| `([A-Z]+ /[^`]*)` \| (.+) \|$", re.MULTILINE)

Table = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Somebody who calls, and what addresses name for them: `name`, or `/address/of/pages/name` where pages differ."""

    client: Client
    own: Mapping[str, str]


def paths(patterns: Sequence[Any] = urlpatterns, before: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from paths(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path not in _CATCH_ALL:
            yield "/" + path.replace(_APP, "<app_label>/")


def is_rest(path: str) -> bool:
    return path.startswith(("/api/", "/iri/"))


def rows(wanted: Sequence[str], asked_by: Role) -> list[str]:
    """Each path with each method that it takes."""
    return [
        f"{method} {path}"
        for path in dict.fromkeys(wanted)
        for method in (METHODS if is_rest(path) else _OF_PAGES)
        if _status(method, path, asked_by)[0] != HTTPStatus.METHOD_NOT_ALLOWED
    ]


def table_of(rows: Sequence[str], roles: Mapping[str, Role]) -> dict[str, dict[str, str]]:
    return {row: {name: "yes" if allowed(row, role) else "no" for name, role in roles.items()} for row in rows}


def allowed(row: str, role: Role) -> bool:
    """Whether the call gets past the checks of who calls: it may fail for what it does not say.

    What the address names exists, so that 404 is the answer to those who may not know of it.
    """
    method, path = row.split(" ", 1)
    status, location = _status(method, path, role)
    return status not in _REFUSALS and not location.startswith(_SIGN_IN)


def _status(method: str, path: str, role: Role) -> tuple[int, str]:
    """What the call changes is undone, also where it signs out."""
    cookies = role.client.cookies.copy()
    address = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: _named(found[1], path, role), path)
    said = _SAID.get(path, "")
    body, form = (b"{}", "application/json") if is_rest(path) else (said.encode(), "application/x-www-form-urlencoded")
    with transaction.atomic():
        answer = role.client.generic(method, f"{address}?{said}", body, form)
        transaction.set_rollback(True)
    role.client.cookies = SimpleCookie(cookies)
    return answer.status_code, answer.get("Location", "")


def _named(name: str, path: str, role: Role) -> str:
    under = (of for of in role.own if of.startswith("/") and path.startswith(of.rpartition("/")[0] + "/"))
    return next((role.own[of] for of in under if of.rpartition("/")[2] == name), "") or role.own[name]


def written(text: str, title: str, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The table under this title."""
    part = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return {row: dict(zip(names, cells.split(" | "), strict=True)) for row, cells in _ROW.findall(part)}


def as_markdown(table: Table) -> str:
    return "\n".join(f"| `{row}` | {' | '.join(cells.values())} |" for row, cells in table.items())
