"""Registers the console's pages of jobs, and of clusters with their jobs."""

from jobs.admin.cluster import ClusterAdmin
from jobs.admin.job import JobAdmin
from jobs.admin.webhooks import WebhookAdmin

__all__ = ["ClusterAdmin", "JobAdmin", "WebhookAdmin"]
