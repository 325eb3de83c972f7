"""The operators' room as a whole: what is the same on all of its pages."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest


class RoomSite(AdminSite):
    site_header = site_title = settings.RAINBOW_NAME
    site_url = None
    enable_nav_sidebar = False

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "debug": settings.DEBUG}
