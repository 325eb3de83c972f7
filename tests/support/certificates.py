"""Certificates for the tests of TLS."""

import subprocess
from pathlib import Path

import pytest


def make_certificate(
    folder: Path, *, password: str = "", names: str = "DNS:localhost,IP:127.0.0.1"
) -> tuple[Path, Path]:
    """Make a self-signed certificate, for this machine by default; returns its file and that of its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "1", "-subj", "/CN=localhost"]
    files = ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
    closed = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    try:
        subprocess.run([*request, *files, *closed], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl, to make a certificate")
    return certificate, key
