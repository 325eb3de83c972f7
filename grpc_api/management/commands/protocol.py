from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from grpc_api.reference.markdown import reference
from grpc_api.reference.protofile import parse

PROTO = settings.BASE_DIR / "grpc_api" / "rainbow.proto"
PAGE = settings.BASE_DIR / "docs" / "protocol.md"


class Command(BaseCommand):
    help = "Writes docs/protocol.md, the reference of the wire protocol, from grpc_api/rainbow.proto."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        PAGE.write_text(reference(parse(PROTO.read_text())))
        self.stdout.write(f"Wrote {PAGE.relative_to(settings.BASE_DIR)}.")
