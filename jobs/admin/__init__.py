"""The operators' console: jobs, and clusters with their jobs."""

from jobs.admin.cluster import ClusterAdmin
from jobs.admin.job import JobAdmin

__all__ = ["ClusterAdmin", "JobAdmin"]
