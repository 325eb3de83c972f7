"""The file of a person's private key, and `rainbow keys`."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rainbow.errors import AlreadyExists, InvalidArgument
from rainbow.signatures import public_text
from rainbow.signing_keys import make_key, read_key
from tests.support.commandline import Run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my rainbow" / "signing-key.pem"


def test_a_key_is_in_a_file_that_only_its_user_reads(path: Path) -> None:
    key = make_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert public_text(read_key(path)) == public_text(key)


def test_a_key_is_never_overwritten(path: Path) -> None:
    before = public_text(make_key(path))

    with pytest.raises(AlreadyExists, match="exists; remove it"):
        make_key(path)

    assert public_text(read_key(path)) == before


def test_a_key_that_others_can_read_is_refused(path: Path) -> None:
    make_key(path)
    path.chmod(0o640)

    with pytest.raises(InvalidArgument, match=r"chmod 600 '/.*'$"):
        read_key(path)


def test_a_file_that_is_no_such_key_is_refused(path: Path) -> None:
    with pytest.raises(InvalidArgument, match="`rainbow keys new` makes one"):
        read_key(path)
    path.parent.mkdir()
    path.touch(mode=0o600)
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"\xff", other):
        path.write_bytes(content)
        with pytest.raises(InvalidArgument, match="is no private key of Ed25519"):
            read_key(path)


def test_the_command_makes_a_key_and_shows_its_public_part(rainbow: Run, path: Path) -> None:
    made = rainbow("keys", "new", "--file", str(path))
    shown = rainbow("keys", "show", "--file", str(path))

    assert made.stdout == shown.stdout
    assert made.stdout == f"{public_text(read_key(path))}\n"
    assert str(path) in made.stderr
