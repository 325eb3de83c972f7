from collections.abc import Collection

from clusters.models import Streak
from clusters.sql.cursors import open_cursor

_STREAK = Streak._meta.db_table


def have_streaks(*, cluster_id: int, credential_ids: Collection[int]) -> bool:
    """Whether one of these tokens has a streak of failures in this cluster.

    Every report of the end of a job asks; to compile the query anew would take longer than all else that it asks.
    """
    places = ", ".join(["%s"] * len(credential_ids))
    among = f"SELECT 1 FROM {_STREAK} WHERE cluster_id = %s AND credential_id IN ({places})"
    with open_cursor() as cursor:
        cursor.execute(f"SELECT EXISTS ({among})", [cluster_id, *credential_ids])
        return bool(cursor.fetchall()[0][0])
