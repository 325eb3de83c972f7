"""Whether the tables of the database are those of this release."""

from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.migrations.executor import MigrationExecutor

NOT_UP_TO_DATE = "the database is not up to date: run manage.py migrate"


def up_to_date() -> bool:
    """Whether all migrations are applied. Raises django.db.Error when the database does not answer."""
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def migrate() -> None:
    if up_to_date():
        # The command would first take the tables of all models from the migrations, for a tenth of a second. What
        # follows it, such as permissions, may be missing: a process that migrated was killed before it came to that.
        emit_post_migrate_signal(verbosity=0, interactive=False, db=DEFAULT_DB_ALIAS)
    else:
        call_command("migrate", verbosity=0, interactive=False)
