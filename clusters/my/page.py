"""What all pages of people have in common: they are for each person who is signed in, staff or not."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from clusters.callers import Caller
from clusters.services.of_people import caller_of_person
from clusters.visible import visible
from rainbow.telemetry.request_ids import request_id_of

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
_READ = ("GET", "HEAD")


def for_people(*methods: str) -> Callable[[View[P]], View[P]]:
    """A page that takes GET and these methods, and is in no cache."""

    def for_them(view: View[P]) -> View[P]:
        @never_cache
        @require_http_methods([*_READ, *methods])
        @login_required(login_url="sign-in")
        @wraps(view)
        def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            return view(request, *args, **kwargs)

        return answer

    return for_them


def me(request: HttpRequest, *, cluster: str | None = None) -> Caller:
    """The person, with what they reach now. Raises Unauthenticated where `cluster` is out of their reach."""
    assert isinstance(request.user, User)
    return caller_of_person(request.user.pk, cluster=cluster, request_id=request_id_of(request))


def page(request: HttpRequest, name: str, title: str, /, **context: Any) -> TemplateResponse:
    everywhere = {**admin.site.each_context(request), "mine": True, "title": visible(title)}
    return TemplateResponse(request, f"my/{name}.html", {**everywhere, **context})
