"""What the provider says of a person, and what that makes of them here."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from rainbow_site.oidc.accounts import Standing

EVERYBODY = "*"


def standing_of(claims: Mapping[str, Any]) -> Standing | None:
    """The highest standing that a group gives; None when no group gives one."""
    groups = _groups(claims.get(settings.RAINBOW_OIDC_GROUPS_CLAIM))
    if groups & set(settings.RAINBOW_OIDC_OPERATORS):
        return Standing.OPERATOR
    if groups & set(settings.RAINBOW_OIDC_VIEWERS):
        return Standing.VIEWER
    members = set(settings.RAINBOW_OIDC_MEMBERS)
    return Standing.MEMBER if EVERYBODY in members or groups & members else None


def name_in(claims: Mapping[str, Any]) -> str:
    name = claims.get(settings.RAINBOW_OIDC_NAME_CLAIM)
    return name if isinstance(name, str) else ""


def _groups(said: Any) -> set[str]:
    if isinstance(said, str):
        return {said}
    return {group for group in said if isinstance(group, str)} if isinstance(said, list) else set()
