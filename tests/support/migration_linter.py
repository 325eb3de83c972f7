"""Finds in migrations what is not safe beside servers that run, by the SQL that PostgreSQL gets of them.

    DATABASE_URL=postgresql://… python -m tests.support.migration_linter

migrates an empty database and writes what each migration sent, as JSON. Squawk reads it: https://squawkhq.com/docs/rules.
Of SQLite all servers are on one machine and stop for an upgrade.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.support.patience import PATIENCE_SECONDS
from tests.support.servers import ROOT, environment_for

SQUAWK = Path(sys.executable).with_name("squawk")
# Matters of taste, and what `docs/upgrading.md` leaves to the operator who migrates.
NOT_ASKED = (
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-robust-stmts",
    "prefer-text-field",
    "require-lock-timeout",
    "require-statement-timeout",
    # A check that names the known values is replaced with each new value; its absence fails no server.
    "ban-drop-constraint",
)
REWRITES = "rewrites-rows-in-one-transaction"
APPS = ("clusters", "jobs")
_MADE = re.compile(r'CREATE TABLE (?:IF NOT EXISTS )?"?(\w+)', re.IGNORECASE)
_CHANGED = re.compile(
    r'(?:ALTER TABLE (?:ONLY )?|CREATE (?:UNIQUE )?INDEX .*? ON |^UPDATE |^DELETE FROM |^INSERT INTO )"?(\w+)',
    re.IGNORECASE,
)
_REWRITE = re.compile(r'^(?:UPDATE|DELETE FROM|INSERT INTO) "?(?:clusters|jobs)_', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The statements of a migration, one a line, with the values in place."""

    atomic: bool
    statements: list[str]

    def made(self) -> set[str]:
        """The tables that it makes, which no server uses yet."""
        return {table[1] for statement in self.statements if (table := _MADE.match(statement))}


def unsafe(migrations: dict[str, Sent]) -> dict[str, set[str]]:
    """The rules that each migration breaks; those that break none are not named."""
    found: dict[str, set[str]] = {}
    for name, rule in [*_found_by_squawk(migrations), *_rewriting(migrations)]:
        found.setdefault(name, set()).add(rule)
    return found


def _found_by_squawk(migrations: dict[str, Sent]) -> Iterator[tuple[str, str]]:
    for atomic in (True, False):
        some = {name: sent for name, sent in migrations.items() if sent.atomic == atomic and sent.statements}
        for finding in _squawk(some, atomic=atomic):
            name = Path(finding["file"]).stem
            table = _CHANGED.search(some[name].statements[finding["line"]])
            if not (table and table[1] in some[name].made()):
                yield name, finding["rule_name"]


def _squawk(migrations: dict[str, Sent], *, atomic: bool) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        for name, sent in migrations.items():
            (Path(folder) / f"{name}.sql").write_text("".join(f"{statement};\n" for statement in sent.statements))
        files = sorted(map(str, Path(folder).iterdir()))
        options = ["--reporter=json", f"--exclude={','.join(NOT_ASKED)}", *(["--assume-in-transaction"] * atomic)]
        told = subprocess.run([SQUAWK, *options, *files], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert not files or told.returncode in (0, 1), told.stderr
    findings: list[dict[str, Any]] = json.loads(told.stdout or "[]")
    return findings


def _rewriting(migrations: dict[str, Sent]) -> Iterator[tuple[str, str]]:
    for name, sent in migrations.items():
        if sent.atomic and any(_REWRITE.match(statement) for statement in sent.statements):
            yield name, REWRITES


def sent_to(database_url: str) -> dict[str, Sent]:
    """What the migrations of rainbow send to this empty PostgreSQL database."""
    command = [sys.executable, "-m", "tests.support.migration_linter"]
    environment = environment_for(database_url, DJANGO_SETTINGS_MODULE="rainbow_site.settings")
    answer = subprocess.check_output(command, cwd=ROOT, env=environment, timeout=PATIENCE_SECONDS)
    return {name: Sent(**sent) for name, sent in json.loads(answer).items()}


def _migrate() -> Iterator[tuple[str, Sent]]:
    executor = MigrationExecutor(connection)
    state = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        statements: list[str] = []

        def note(
            execute: Any, sql: str, values: Sequence[Any], many: bool, context: Any, to: list[str] = statements
        ) -> Any:
            text = context["cursor"].mogrify(sql, values) if values else sql
            to.append(" ".join(str(text).split()).rstrip(";"))
            return execute(sql, values, many, context)

        with connection.execute_wrapper(note):
            state = executor.apply_migration(state, migration)
        if migration.app_label in APPS:
            yield f"{migration.app_label}.{migration.name}", Sent(atomic=migration.atomic, statements=statements)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rainbow_site.settings")
    django.setup()
    json.dump({name: asdict(sent) for name, sent in _migrate()}, sys.stdout)
