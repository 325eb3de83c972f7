"""Reloads a certificate when its files change, without a restart."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from rainbow.certificates import Certificate, NotUsable, read_certificate
from rainbow.telemetry.lines import Line
from rainbow_site.environment import WrongSetting
from rainbow_site.process.certificates import TlsFiles

LOOKS_EVERY_SECONDS = 2
WARNS_BEFORE = timedelta(days=14)
_WARNS_EVERY = timedelta(days=1)

Built = TypeVar("Built")


@dataclass(slots=True, kw_only=True)
class CertificateState:
    """Of this process's certificate, for health checks and metrics. `trouble` is empty while the files are in use."""

    expires_at: datetime | None = None
    trouble: str = ""


STATE = CertificateState()


class CertificateWatch(Generic[Built]):
    """`current` is what `build` makes of the files. Files that are not usable change nothing but the log and the state.

    A thread of its own looks at the files, so that a file system that hangs holds no connection up.
    """

    def __init__(self, files: TlsFiles, build: Callable[[TlsFiles], Built], *, log: logging.Logger) -> None:
        """Raises WrongSetting."""
        self._files, self._build, self._log = files, build, log
        self._stamps = files.stamps()
        self._trouble = ""
        self._warned_at: datetime | None = None
        files.check()
        self.current = build(files)
        self._note(_read(files))

    def start(self) -> None:
        threading.Thread(target=self._run, name="certificates", daemon=True).start()

    def step(self, now: datetime) -> None:
        stamps = self._files.stamps()
        if stamps == self._stamps:
            self._complain()
        else:
            self._load(stamps)
        self._warn(now)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self.step(datetime.now(UTC))
            except Exception:
                self._log.exception("the certificate's files cannot be watched")
            pause.wait(LOOKS_EVERY_SECONDS)

    def _load(self, stamps: tuple[tuple[int, ...], ...]) -> None:
        try:
            self._files.check()
            new, found = self._build(self._files), _read(self._files)
        except (WrongSetting, OSError, ValueError) as error:
            self._trouble, self._stamps = str(error), stamps
            return
        # What was read may be part old and part new: then the next look reads again.
        if self._files.stamps() == stamps:
            self.current, self._stamps = new, stamps
            self._trouble = STATE.trouble = ""
            self._note(found)
            self._log.info(Line("certificate renewed", **_described(found)))

    def _complain(self) -> None:
        """Only at the second look, since a renewal may write the key after the certificate."""
        if self._trouble and self._trouble != STATE.trouble:
            STATE.trouble = self._trouble
            self._log.error("the certificate in use stays, since the files are not usable: %s", self._trouble)

    def _note(self, found: Certificate | None) -> None:
        STATE.expires_at, self._warned_at = found.expires_at if found else None, None

    def _warn(self, now: datetime) -> None:
        end = STATE.expires_at
        if end is None or end - now > WARNS_BEFORE or (self._warned_at and now - self._warned_at < _WARNS_EVERY):
            return
        self._warned_at = now
        verb = "expires" if end > now else "expired"
        self._log.warning("the certificate %s at %s; renew %s", verb, end.isoformat(), self._files.cert)


def _read(files: TlsFiles) -> Certificate | None:
    try:
        return read_certificate(files.cert, files.key, of_server=True)
    except NotUsable:
        # Clients refuse it; that is for them to say.
        return None


def _described(found: Certificate | None) -> dict[str, object]:
    return {"serial": found.serial, "expires": found.expires_at.isoformat()} if found else {}
