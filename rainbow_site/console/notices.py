"""What a page tells once, after a form was sent."""

from typing import Any

from django.contrib.messages.storage.fallback import FallbackStorage
from django.utils.safestring import SafeString

from clusters.visible import visible


class VisibleStorage(FallbackStorage):
    """Messages name what others wrote, such as labels."""

    def add(self, level: int, message: Any, extra_tags: str | None = "") -> None:
        escaped = visible(message)
        super().add(level, SafeString(escaped) if isinstance(message, SafeString) else escaped, extra_tags)
