"""What the database's planner is told, so that its plans depend on the rows of a test alone."""

from django.db import connection

from jobs.models import Job


def empty_the_tables_of_jobs() -> None:
    """Begin with new files: rows of other tests, rolled back, leave tables and indexes larger than their content.

    It is rolled back like all that a test does.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {Job._meta.db_table} CASCADE")


def gather_statistics() -> None:
    """From all rows: a sample would differ from run to run."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL default_statistics_target = 1000")
        cursor.execute("ANALYZE")
