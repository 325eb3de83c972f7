"""Django's SQLite backend, with the transactions of all processes on this machine in one queue.

Writers that contend for SQLite's own lock sleep and try again, and the unlucky ones sleep long. Here each waits
in the kernel for a lock on a file beside the database, and is woken when its turn comes.

And with statements translated once: Django looks for placeholders in each, every time, and those that insert many
rows have thousands.
"""

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX

# The hot statements come in a few sizes each, up to 20 KB. Longer ones name thousands of ids, seldom as many again.
_KEPT_STATEMENTS, _LONGEST_KEPT = 256, 24_000


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


class DatabaseWrapper(base.DatabaseWrapper):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn: int | None = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        # Commands, environments and output of jobs are their owners' business, whichever command comes first. SQLite
        # gives the files that it writes beside the database the mode of the database.
        if not self.is_in_memory_db():
            # What is wrong with the place SQLite says itself.
            with suppress(OSError):
                Path(conn_params["database"]).touch(mode=0o600)
        return super().get_new_connection(conn_params)

    def create_cursor(self, name: str | None = None) -> Cursor:
        return self.connection.cursor(factory=Cursor)  # type: ignore[no-any-return]

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._end_turn()

    def _rollback(self) -> None:
        super()._rollback()  # type: ignore[misc]
        self._end_turn()

    def _close(self) -> None:
        super()._close()  # type: ignore[misc]
        if self._turn is not None:
            # Closing the file gives up the lock.
            os.close(self._turn)
            self._turn = None

    def _take_turn(self) -> None:
        if self.is_in_memory_db():
            return
        if self._turn is None:
            self._turn = os.open(f"{self.settings_dict['NAME']}.turn", os.O_RDWR | os.O_CREAT, mode=0o600)
        fcntl.flock(self._turn, fcntl.LOCK_EX)

    def _end_turn(self) -> None:
        if self._turn is not None:
            fcntl.flock(self._turn, fcntl.LOCK_UN)
