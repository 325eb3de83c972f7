"""Make query plans depend on the rows of a test alone."""

from django.db import connection

from jobs.models import Job


def empty_the_tables_of_jobs() -> None:
    """Begin with new files: rows that other tests rolled back leave bloated tables and indexes.

    The test's rollback undoes it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {Job._meta.db_table} CASCADE")


def gather_statistics() -> None:
    """From all rows: a sample would differ from run to run. Servers on SQLite have none, so those of other tests go."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL default_statistics_target = 1000")
        cursor.execute("ANALYZE")
        if connection.vendor == "sqlite":
            cursor.execute("DELETE FROM sqlite_stat1")
            cursor.execute("ANALYZE sqlite_schema")
