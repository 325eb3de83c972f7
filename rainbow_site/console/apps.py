from typing import Any

from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register


class ConsoleConfig(SimpleAdminConfig):
    """The console's pages are loaded with the URLs: what serves no pages, as a gRPC server, starts sooner without."""

    default_site = "rainbow_site.console.site.ConsoleSite"

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(_check_pages, Tags.admin)


def _check_pages(**options: Any) -> list[CheckMessage]:
    autodiscover()
    return check_admin_app(**options)
