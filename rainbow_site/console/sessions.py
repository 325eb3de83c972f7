from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone


def end_at_length(session: SessionBase) -> None:
    """Ends it RAINBOW_SESSION_SECONDS from now, however much it is used."""
    session.set_expiry(timezone.now() + timedelta(seconds=settings.RAINBOW_SESSION_SECONDS))
