"""Metrics of jobs on their way, counted by the process that serves the call. The states of all jobs are read from the
database (rainbow_site/metrics/fleet.py).
"""

from clusters.metrics import ClusterCounter

SUBMITTED = ClusterCounter("rainbow_jobs_submitted_total", "Jobs queued by a submission, by its cluster or pool.")
OFFERED = ClusterCounter("rainbow_jobs_offered_total", "Jobs in answers to the cluster's requests, which reserve none.")
ACCEPTED = ClusterCounter("rainbow_jobs_accepted_total", "Jobs that the cluster took.")
REFUSED = ClusterCounter(
    "rainbow_jobs_refused_total", "Jobs that the cluster accepted and did not get, by the reason.", "reason"
)
