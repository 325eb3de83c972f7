"""Django's SQLite backend, with a fair queue of writers across processes.

Writers that contend for SQLite's own lock sleep and retry, and unlucky ones starve. Here each blocks in the kernel on a
lock file beside the database, and is woken in turn. Writes to a file that is no longer the database are refused.

Statements are translated once: Django searches each for placeholders every time, and bulk inserts have thousands.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX
from django.db.backends.utils import CursorWrapper

from rainbow_site.sqlite.file import OpenFiles, prepare
from rainbow_site.sqlite.schema import SchemaEditor
from rainbow_site.sqlite.turn import Turn

# The hot statements have a few sizes each, up to 20 KB. Longer ones have thousands of ids, rarely the same number.
_KEPT_STATEMENTS, _LONGEST_KEPT = 256, 24_000
# Python's default `timeout`.
_SQLITE_PATIENCE_SECONDS = 5


@lru_cache(_KEPT_STATEMENTS)
def _kept_with_question_marks(query: str) -> str:
    return _with_question_marks(query)


def _with_question_marks(query: str) -> str:
    return FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class Cursor(base.SQLiteCursorWrapper):
    def convert_query(self, query: str, *, param_names: Iterable[str] | None = None) -> str:
        if param_names is None:
            return (_kept_with_question_marks if len(query) <= _LONGEST_KEPT else _with_question_marks)(query)
        return super().convert_query(query, param_names=param_names)


class KeptCursor(CursorWrapper):
    """Stays open at the end of its block."""

    def __exit__(self, *error: object) -> None:
        pass


class DatabaseWrapper(base.DatabaseWrapper):
    SchemaEditorClass = SchemaEditor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._files: OpenFiles | None = None
        self._turn: Turn | None = None
        self._kept_cursor: KeptCursor | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.is_in_memory_db():
            return super().get_new_connection(conn_params)
        path = str(self.settings_dict["NAME"])
        prepare(path)
        connection = super().get_new_connection(conn_params)
        self._files = OpenFiles(path)
        self._turn = Turn(f"{path}.turn", patience_seconds=conn_params.get("timeout", _SQLITE_PATIENCE_SECONDS))
        return connection

    def kept_cursor(self) -> CursorWrapper:
        """For one statement, all rows of which are fetched before the next: to make a cursor for each takes twice as
        long as a short statement.
        """
        if self.force_debug_cursor:
            return self.cursor()
        self.ensure_connection()
        if self._kept_cursor is None:
            self._kept_cursor = KeptCursor(self.create_cursor(), self)
        return self._kept_cursor

    def create_cursor(self, name: str | None = None) -> Cursor:
        return self.connection.cursor(factory=Cursor)  # type: ignore[no-any-return]

    def _start_transaction_under_autocommit(self) -> None:
        if self._turn:
            self._turn.take()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
            if self._files:
                self._files.note()
        except BaseException:
            self._rollback()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._end_turn()
        if self._files:
            # A commit to a deleted file is not durable.
            self._files.check()

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        # A cursor that is left would keep the file open.
        if self._kept_cursor:
            self._kept_cursor.close()
        self._kept_cursor = None
        super()._close()  # type: ignore[misc]
        if self._turn:
            self._turn.close()
        self._turn = self._files = None

    def _end_turn(self) -> None:
        if self._turn:
            self._turn.end()
