"""Migrations are safe beside servers of the release before, which run on while a database is migrated."""

from collections.abc import Callable

import pytest
from django.db import connection

from tests.support.migration_linter import REWRITES, Sent, sent_to, unsafe

# What holds no more than seconds up, or only where docs/upgrading.md says so. Nothing is added here for a table that
# grows with the jobs: its index is made CONCURRENTLY, and its constraint NOT VALID.
EXEMPTED = {
    # The clusters and their events are few; their constraints are checked in no time.
    "clusters.0010_pools": {"constraint-missing-not-valid"},
    "clusters.0011_facts": {"constraint-missing-not-valid"},
    # The credentials are few, too. A longer varchar rewrites none. Servers of before join the clusters of credentials,
    # and so see none without one.
    "clusters.0012_projects": {
        "adding-foreign-key-constraint",
        "ban-drop-not-null",
        "changing-column-type",
        "constraint-missing-not-valid",
        "require-concurrent-index-creation",
    },
    # The events of projects and clusters are few, too.
    "clusters.0013_allowances": {"constraint-missing-not-valid"},
    "clusters.0015_turns": {"constraint-missing-not-valid"},
    # It reads the jobs of persons and projects, of which servers of before have none, and writes a row for each holder.
    "jobs.0022_allowances": {"rewrites-rows-in-one-transaction"},
    # Read all jobs, and submissions wait meanwhile: docs/upgrading.md, 0.2.
    "jobs.0010_queues": {
        "adding-foreign-key-constraint",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
    },
    "jobs.0015_expires_at": {"require-concurrent-index-creation"},
}
# Of before the first release, 0.1.0, beside whose servers no others ran.
FIRST = {"clusters": 9, "jobs": 9}

TABLE = 'CREATE TABLE "jobs_new" ("id" bigint NOT NULL PRIMARY KEY)'
UNSAFE = {
    'ALTER TABLE "jobs_job" ADD COLUMN "a" integer NOT NULL': "adding-required-field",
    'ALTER TABLE "jobs_job" ADD COLUMN "a" integer DEFAULT 0 NOT NULL; '
    'ALTER TABLE "jobs_job" ALTER COLUMN "a" DROP DEFAULT': "ban-drop-default",
    'ALTER TABLE "jobs_job" ALTER COLUMN "name" SET NOT NULL': "adding-not-nullable-field",
    'ALTER TABLE "jobs_job" DROP COLUMN "name" CASCADE': "ban-drop-column",
    'ALTER TABLE "jobs_job" RENAME COLUMN "name" TO "title"': "renaming-column",
    'ALTER TABLE "jobs_job" RENAME TO "jobs_work"': "renaming-table",
    'DROP TABLE "jobs_job" CASCADE': "ban-drop-table",
    'ALTER TABLE "jobs_job" ALTER COLUMN "id" TYPE bigint': "changing-column-type",
    'CREATE INDEX "by_name" ON "jobs_job" ("name")': "require-concurrent-index-creation",
    'DROP INDEX IF EXISTS "by_name"': "require-concurrent-index-deletion",
    'ALTER TABLE "jobs_job" ADD CONSTRAINT "named" CHECK ("name" <> \'\')': "constraint-missing-not-valid",
    'ALTER TABLE "jobs_job" ADD CONSTRAINT "once" UNIQUE ("name")': "disallowed-unique-constraint",
    'ALTER TABLE "jobs_job" ADD COLUMN "a" integer NULL CONSTRAINT "b" REFERENCES "jobs_queue" ("id")': (
        "adding-foreign-key-constraint"
    ),
    'UPDATE "jobs_job" SET "name" = command': REWRITES,
    'DELETE FROM "clusters_clusterevent"': REWRITES,
}
SAFE = (
    TABLE,
    f'{TABLE}; ALTER TABLE "jobs_new" ADD COLUMN "a" integer NOT NULL; CREATE INDEX "by_a" ON "jobs_new" ("a")',
    'ALTER TABLE "jobs_job" ADD COLUMN "a" integer NULL',
    'ALTER TABLE "jobs_job" ADD COLUMN "a" varchar(9) DEFAULT \'\' NOT NULL',
    'ALTER TABLE "jobs_job" ADD CONSTRAINT "named" CHECK ("name" <> \'\') NOT VALID',
    'INSERT INTO "django_migrations" ("app") VALUES (\'jobs\')',
)


def rules(sql: str, *, atomic: bool = True) -> set[str]:
    return unsafe({"jobs.0099_new": Sent(atomic=atomic, statements=sql.split("; "))}).get("jobs.0099_new", set())


@pytest.mark.parametrize(("sql", "rule"), UNSAFE.items())
def test_what_fails_or_holds_up_servers_of_before_is_found(sql: str, rule: str) -> None:
    assert rule in rules(sql)


@pytest.mark.parametrize("sql", SAFE)
def test_what_they_do_not_notice_is_none(sql: str) -> None:
    assert rules(sql) == set()


def test_an_index_is_made_concurrently() -> None:
    """In a transaction PostgreSQL refuses it."""
    assert rules('CREATE INDEX CONCURRENTLY "by_name" ON "jobs_job" ("name")', atomic=False) == set()


def test_rows_are_rewritten_in_parts_outside_of_a_transaction() -> None:
    assert rules('UPDATE "jobs_job" SET "name" = command WHERE "id" < 1000', atomic=False) == set()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="is about PostgreSQL")
def test_the_migrations_since_the_first_release_are_safe(empty_database: Callable[[], str]) -> None:
    found = unsafe(sent_to(empty_database()))

    assert {name: rules for name, rules in found.items() if not of_before(name)} == EXEMPTED


def of_before(migration: str) -> bool:
    app, _, name = migration.partition(".")
    return int(name[:4]) <= FIRST[app]
