"""Counts what persons and projects have in the queues and clusters.

Servers of the release before know neither, and so move no jobs of theirs.
"""

from django.db import migrations

_COUNT = """
    INSERT INTO clusters_allowance (kind, holder_id, waiting, held, held_nodes)
    SELECT '{kind}', {column},
           SUM(CASE WHEN state = 'queued' THEN 1 ELSE 0 END),
           SUM(CASE WHEN state IN ('accepted', 'running') AND agent <> '' THEN 1 ELSE 0 END),
           SUM(CASE WHEN state IN ('accepted', 'running') AND agent <> '' THEN nodes ELSE 0 END)
    FROM jobs_job WHERE {column} IS NOT NULL AND state IN ('queued', 'accepted', 'running') GROUP BY {column}
    ON CONFLICT (kind, holder_id) DO NOTHING
"""


def _counted(kind: str, column: str) -> migrations.RunSQL:
    return migrations.RunSQL(_COUNT.format(kind=kind, column=column), migrations.RunSQL.noop)


class Migration(migrations.Migration):
    dependencies = [("clusters", "0013_allowances"), ("jobs", "0021_signature")]
    operations = [_counted("person", "owner_id"), _counted("project", "project_id")]
