"""What processes load: each server and each management command waits for it when it starts."""

import os
import subprocess
import sys

from django.conf import settings
from django.contrib import admin
from django.core import checks

from tests.support.patience import PATIENCE_SECONDS

LOADED_BY_A_GRPC_SERVER = """
import sys, django
django.setup()
import grpc_api.management.commands.grpcserver
print(*sys.modules)
"""


def test_a_grpc_server_with_sqlite_loads_neither_pages_nor_what_postgresql_and_h2corn_need() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "rainbow_site.settings", "DATABASE_URL": "sqlite:///any.db"}

    python = subprocess.run(
        [sys.executable, "-c", LOADED_BY_A_GRPC_SERVER],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )

    loaded = set(python.stdout.split())
    assert "grpc_api.transport.server" in loaded
    assert not loaded & {"clusters.admin", "jobs.admin", "jobs.rest", "rainbow_site.urls"}
    assert not loaded & {"psycopg", "cryptography.x509", "h2corn"}


def test_the_pages_are_checked_with_the_rest() -> None:
    class WithoutSuchAColumn(admin.ModelAdmin):
        list_display = ("nothing",)

    try:
        admin.site.register(admin.models.LogEntry, WithoutSuchAColumn)
        assert "admin.E108" in {found.id for found in checks.run_checks(tags=[checks.Tags.admin])}
    finally:
        admin.site.unregister(admin.models.LogEntry)
