from functools import cache

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.utils import CursorWrapper

from rainbow_site.sqlite.base import DatabaseWrapper


@cache
def vendor() -> str:
    """Of the database, as Django names it. To ask the connection of this thread each time takes as long as a call."""
    return connection.vendor


def open_cursor() -> CursorWrapper:
    """For one statement, all rows of which are fetched before the next. Its block may leave it open."""
    database = connections[DEFAULT_DB_ALIAS]
    return database.kept_cursor() if isinstance(database, DatabaseWrapper) else database.cursor()
