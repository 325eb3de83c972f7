"""Registers the console's pages of projects and people."""

from clusters.admin.person import PersonAdmin
from clusters.admin.project import ProjectAdmin

__all__ = ["PersonAdmin", "ProjectAdmin"]
