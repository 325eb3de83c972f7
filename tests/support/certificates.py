"""Certificates for the tests of TLS."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
HERE = "DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The files of a certificate and its key."""

    cert: Path
    key: Path

    @property
    def serial(self) -> str:
        return _openssl("x509", "-noout", "-serial", "-in", str(self.cert)).strip().partition("=")[2]

    def replace(self, other: "Pair") -> None:
        """Takes the other's content, one file after the other, each in one step as certbot and editors do it."""
        for mine, new in ((self.cert, other.cert), (self.key, other.key)):
            draft = mine.with_suffix(".new")
            draft.write_bytes(new.read_bytes())
            draft.replace(mine)


class Authority:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cert, self._key = folder / "ca.pem", folder / "ca-key.pem"
        new = ("req", "-x509", *_NEW_KEY, "-days", "30", "-subj", "/CN=authority")
        _openssl(*new, "-keyout", str(self._key), "-out", str(self.cert))

    def issue(self, label: str, *, names: str = HERE, days: int = 20) -> Pair:
        """A certificate for these alternative names; its common name is the label. It has expired for negative days."""
        made = Pair(cert=self._folder / f"{label}.pem", key=self._folder / f"{label}-key.pem")
        request, extensions = self._folder / f"{label}.csr", self._folder / f"{label}.ext"
        _openssl("req", *_NEW_KEY, "-subj", f"/CN={label}", "-keyout", str(made.key), "-out", str(request))
        extensions.write_text(f"subjectAltName={names}\n" if names else "")
        signed = ("-CA", str(self.cert), "-CAkey", str(self._key), "-CAcreateserial", "-days", str(days))
        _openssl("x509", "-req", "-in", str(request), *signed, "-extfile", str(extensions), "-out", str(made.cert))
        return made


def make_certificate(
    folder: Path, *, password: str = "", names: str = HERE, new_key: Sequence[str] = ("rsa:2048",)
) -> tuple[Path, Path]:
    """Make a self-signed certificate, for this machine by default; returns its file and that of its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    closed = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    files = ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
    _openssl("req", "-x509", "-newkey", *new_key, "-days", "1", "-subj", "/CN=localhost", *files, *closed)
    return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*words: str) -> str:
    try:
        return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        pytest.skip("needs openssl, to make a certificate")


def run_manual(section: str, folder: Path) -> None:
    """Run the commands of a section of docs/certificates.md there."""
    part = (ROOT / "docs" / "certificates.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    commands = re.findall(r"^\$ ((?:openssl|echo) .*)$", part, re.MULTILINE)
    assert commands
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
