from datetime import datetime

from clusters.sql.cursors import open_cursor, vendor


def by_both_clocks(now: datetime) -> datetime:
    """`now`, or the database's time where that is earlier: what is over by it is over by both clocks.

    A server whose clock is ahead would end what other servers have begun by theirs.
    """
    if vendor() == "sqlite":
        return now
    with open_cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        there: datetime = cursor.fetchone()[0]
    return min(now, there)
