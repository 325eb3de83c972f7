"""Files that `manage.py import` refuses: cut, damaged, hostile. Nothing is changed by any."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from rainbow_site.copies.export_file import Ids, line_of, written
from rainbow_site.copies.moving import _applied, import_database
from rainbow_site.copies.new_file import CannotCopy
from rainbow_site.copies.tables import tables

pytestmark = pytest.mark.django_db
TIME = "2026-11-01T12:00:00.000000+00:00"
CLUSTER: dict[str, Any] = {
    "id": 1, "name": "keebler", "pool": False, "fair_turns": None, "registered_at": TIME, "last_asked_at": None,
    "last_bounds": {}, "facts": {}, "facts_at": None, "not_ready": "", "paused_at": None, "paused_reason": "",
    "paused_by": "",
}  # fmt: skip
COUNT: dict[str, Any] = {"id": 1, "state": "queued", "priority": 0, "slot": 0, "jobs": 1, "cluster_id": 1}


def nothing(said: str) -> None:
    pass


def export(path: Path, **rows: list[dict[str, Any]]) -> Path:
    """A file with these rows of tables, whose digests are right."""
    with written(path, _applied()) as writer:
        for table in tables():
            lines = [line_of([row[name] for name in table.names]) for row in rows.get(table.name, [])]
            writer.table(table, lines, Ids(next=5, last=2**31 - 1 if table.name == "jobs_job" else None))
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return export(tmp_path / "good", clusters_cluster=[CLUSTER], jobs_jobcount=[COUNT])


def refused(path: Path) -> str:
    before = content()
    with pytest.raises(CannotCopy) as error:
        import_database(path, progress=nothing)
    assert content() == before
    return str(error.value)


def content() -> dict[str, list[Any]]:
    return {
        model._meta.db_table: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_models(include_auto_created=True)
    }


def rewritten(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    changed = path.with_name("changed")
    changed.write_bytes(gzip.compress(b"".join(change(lines))))
    return changed


def test_a_sound_file_is_taken(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow_site.copies.moving._settle", lambda: None)

    moved = import_database(good, progress=nothing)

    assert (moved.jobs, moved.rows) == (0, 2)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(good: Path, tmp_path: Path, share: float) -> None:
    whole = good.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * share)])

    assert "cut off" in refused(tmp_path / "cut")


def test_a_file_without_its_last_lines_is_refused(good: Path) -> None:
    for lines in (1, 2, 30):
        assert "cut off" in refused(rewritten(good, lambda all, lines=lines: all[:-lines]))


@pytest.mark.parametrize(
    "content",
    [b"", b"not compressed", gzip.compress(b"[1]\n"), gzip.compress(b"{}\n")],
    ids=["nothing", "not compressed", "a list first", "no table"],
)
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)

    assert str(tmp_path / "file") in refused(tmp_path / "file")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "file")


def test_damage_is_noticed(good: Path, tmp_path: Path) -> None:
    damaged = bytearray(good.read_bytes())
    damaged[len(damaged) // 2] ^= 0x55
    (tmp_path / "damaged").write_bytes(damaged)

    assert refused(tmp_path / "damaged")


# What is done to the lines of a sound file, and what is said then.
CHANGES: list[tuple[Callable[[list[bytes]], list[bytes]], str]] = [
    (lambda all: [all[0].replace(b'"version":1', b'"version":2'), *all[1:]], "this release reads 1"),
    (lambda all: [all[0].replace(b'"0001_initial"', b'"0001_other"', 1), *all[1:]], "of another release"),
    (lambda all: [line.replace(b'"keebler"', b'"oreo"') for line in all], "does not agree with the rows"),
    (lambda all: [line for line in all if b"keebler" not in line], "does not agree with the rows"),
    (lambda all: [*all[:1], *all[2:]], "must begin the table"),
    (lambda all: [line.replace(b'"jobs_job"', b'"jobs_jobs"') for line in all], "must begin the table jobs_job"),
    (lambda all: [*all, b"[]\n"], "more follows"),
    (lambda all: [*all[:1], b"[" * 100_000 + b"\n", *all[1:]], "is not JSON"),
    (lambda all: [*all[:1], b"9" * 10_000 + b"\n", *all[1:]], "is not JSON"),
    (lambda all: [*all[:2], b"NaN\n", *all[2:]], "is not JSON"),
    (lambda all: [*all[:2], b"[1]\n", *all[2:]], "must be a row of"),
    (lambda all: [line.replace(b'"next":5', b'"next":0') for line in all], "which ids new rows get"),
    (lambda all: [line.replace(b'"last":2147483647', b'"last":2') for line in all], "are not free"),
]


@pytest.mark.parametrize(("change", "says"), CHANGES, ids=range(len(CHANGES)))
def test_a_file_that_was_changed_is_refused(
    good: Path, change: Callable[[list[bytes]], list[bytes]], says: str
) -> None:
    if says == "are not free" and connection.vendor == "sqlite":
        pytest.skip("SQLite counts on from the newest id by itself")

    assert says in refused(rewritten(good, change))


# Values whose digest is right and which the column cannot have.
VALUES = [
    ({"id": "1"}, "must be a whole number"),
    ({"id": True}, "must be a whole number"),
    ({"id": 2**63}, "must be a whole number"),
    ({"name": 5}, "must be text"),
    ({"name": "x" * 64}, "of at most 63 characters"),
    ({"name": "a\x00b"}, "must be text without NUL"),
    ({"name": None}, "must not be null"),
    ({"pool": 1}, "must be true or false"),
    ({"registered_at": "yesterday"}, "registered_at"),
    ({"registered_at": "2026-11-01T12:00:00"}, "has no zone"),
    ({"registered_at": 5}, "registered_at"),
    ({"registered_at": "0001-01-01T00:00:00+23:59"}, "registered_at"),
    ({"registered_at": "9999-12-31T23:59:59-23:59"}, "registered_at"),
    ({"facts": {"a": "b\x00"}}, "facts: must be text without NUL"),
    # What the constraints of the database refuse.
    ({"name": ""}, "takes no import"),
    ({"pool": True, "last_asked_at": TIME}, "takes no import"),
]


@pytest.mark.parametrize(("values", "says"), VALUES, ids=range(len(VALUES)))
def test_a_value_that_a_column_cannot_have_is_refused(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    path = export(tmp_path / "file", clusters_cluster=[{**CLUSTER, **values}])

    assert says in refused(path)


def test_a_row_that_names_a_missing_one_is_refused(tmp_path: Path) -> None:
    assert "takes no import" in refused(export(tmp_path / "file", jobs_jobcount=[COUNT]))


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    rows = [CLUSTER, {**CLUSTER, "name": "oreo"}]

    assert "takes no import" in refused(export(tmp_path / "file", clusters_cluster=rows))


def test_half_of_a_character_is_refused(good: Path) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        return [_with_digest(lines, place, rb"\ud800") for place in range(len(lines))]

    assert refused(rewritten(good, change))


@pytest.mark.parametrize("depth", [17, 900, 5_000])
def test_values_within_values_without_end_are_refused(good: Path, depth: int) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        deep = b"[" * depth + b"]" * depth
        return [_with_digest(lines, place, deep, in_place_of=b"{}") for place in range(len(lines))]

    says = "last_bounds: must have at most 16 levels" if depth < 1_000 else "is not JSON"

    assert says in refused(rewritten(good, change))


def _with_digest(lines: list[bytes], place: int, new: bytes, *, in_place_of: bytes = b"keebler") -> bytes:
    """The line with something else in the row of the cluster, and the digest of that row."""
    row = next(line for line in lines if b'"keebler"' in line).replace(in_place_of, new)
    if b'"keebler"' in lines[place]:
        return row
    if place and b'"keebler"' in lines[place - 1]:
        return line_of({**json.loads(lines[place]), "sha256": hashlib.sha256(row).hexdigest()})
    return lines[place]


def test_a_line_without_end_takes_no_more_memory_than_it_may(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rainbow_site.copies.export_file._LONGEST_LINE", 10_000)

    changed = rewritten(good, lambda all: [*all[:1], b"[" + b" " * 20_000 + b"]\n", *all[1:]])

    assert "is longer than 10,000 bytes" in refused(changed)


def test_a_database_that_is_in_use_is_refused(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apps.get_model("auth", "User").objects.create_user("olga")

    assert "not empty: auth_user has rows" in refused(good)
