from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "rainbow_site.console.site.ConsoleSite"
