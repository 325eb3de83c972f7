"""People's projects and tokens as text."""

from collections.abc import Sequence
from datetime import datetime

from rainbow.people import Project, Token
from rainbow.terminal.formatting import when
from rainbow.terminal.tables import show_table

PROJECT_COLUMNS = ("PROJECT", "YOU ARE", "JOBS ARE SEEN BY", "CLUSTERS")
TOKEN_COLUMNS = ("ID", "LABEL", "REACHES", "MAY", "LAST USED", "EXPIRES")


def show_projects(projects: Sequence[Project]) -> None:
    show_table(PROJECT_COLUMNS, [_project(one) for one in projects])


def show_tokens(tokens: Sequence[Token], *, now: datetime) -> None:
    show_table(TOKEN_COLUMNS, [_token(one, now=now) for one in tokens])


def _project(one: Project) -> list[str]:
    return [
        one.name,
        "lead" if one.lead else "member",
        "its members" if one.shares_jobs else "their owners and leads",
        ", ".join(one.clusters) or "-",
    ]


def _token(one: Token, *, now: datetime) -> list[str]:
    reach = " at ".join(filter(None, (one.project, ", ".join(one.clusters))))
    return [
        str(one.id),
        one.label,
        reach or "all that you do",
        "read" if one.reads_only else "all",
        when(one.last_used_at, now=now) if one.last_used_at else "never",
        when(one.expires_at, now=now) if one.expires_at else "never",
    ]
