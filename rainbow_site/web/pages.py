from http import HTTPStatus

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return _page(request, HTTPStatus.NOT_FOUND, "Not found")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _page(request, HTTPStatus.FORBIDDEN, "Not allowed")


def busy(request: HttpRequest) -> HttpResponse:
    return _page(request, HTTPStatus.SERVICE_UNAVAILABLE, "Busy")


def _page(request: HttpRequest, status: HTTPStatus, title: str) -> HttpResponse:
    """Of the console, or of people who are none of the staff."""
    theirs = request.user.is_authenticated and not request.user.is_staff
    base = "my/base.html" if theirs or request.path.startswith(reverse("my-jobs")) else "admin/base_site.html"
    context = {**admin.site.each_context(request), "title": title, "base": base}
    return render(request, f"{status.value}.html", context, status=status)
