"""The permissions that operators need; credentials need none."""

from rest_framework.request import Request

from clusters.callers import Caller

VIEW_CLUSTERS = "clusters.view_cluster"
CHANGE_CLUSTERS = "clusters.change_cluster"
MANAGE_CREDENTIALS = "clusters.manage_credential"
VIEW = "jobs.view_job"
ACT = "jobs.change_job"
SEE_CONTENT = "jobs.see_content_of_job"


def sees_content(request: Request) -> bool:
    """Whether the caller may know what a job runs: its command, environment, working directory and output."""
    return isinstance(request.auth, Caller) or request.user.has_perm(SEE_CONTENT)
