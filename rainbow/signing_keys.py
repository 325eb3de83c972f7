"""A person's own signing key, in a file that only its user can read."""

import os
import shlex
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from rainbow.errors import AlreadyExists, InvalidArgument, why

MOST_BYTES = 16 * 1024
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_key(path: Path) -> Ed25519PrivateKey:
    """A new key in a new file of mode 600. Raises AlreadyExists where there is a file, InvalidArgument."""
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(file)
    except FileExistsError as error:
        raise AlreadyExists(f"{path} exists; remove it to make another key") from error
    except OSError as error:
        raise InvalidArgument(f"cannot write {path}: {why(error)}") from error
    return key


def read_key(path: Path) -> Ed25519PrivateKey:
    """Raises InvalidArgument for a file that others can read, that is missing, or that is no such key."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & OTHERS:
                raise InvalidArgument(f"{path} must be readable by its user alone: chmod 600 {shlex.quote(str(path))}")
            key = load_pem_private_key(file.read(MOST_BYTES), password=None)
    except FileNotFoundError as error:
        raise InvalidArgument(f"there is no signing key {path}; `rainbow keys new` makes one") from error
    except OSError as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidArgument(f"{path} is no private key of Ed25519 without a passphrase") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidArgument(f"{path} is no private key of Ed25519 without a passphrase")
    return key
