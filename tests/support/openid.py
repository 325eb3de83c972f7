"""A real provider of OpenID Connect, which runs on node, for the server's people to sign in at."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.support import processes
from tests.support.patience import PATIENCE_SECONDS

NODE = shutil.which("node") if shutil.which("npm") else None
SETTINGS = {
    "RAINBOW_OIDC_CLIENT_ID": "rainbow",
    "RAINBOW_OIDC_CLIENT_SECRET": "only-for-the-tests",
    "RAINBOW_OIDC_OPERATORS": "hpc-admins",
    "RAINBOW_OIDC_VIEWERS": "hpc-support",
    "RAINBOW_OIDC_MEMBERS": "hpc-users",
    "RAINBOW_OIDC_LABEL": "Lab",
}
_FOLDER = Path(__file__).with_name("oidc")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningProvider:
    issuer: str
    accounts: Path
    process: subprocess.Popen[bytes]
    log: Path

    def knows(self, **people: dict[str, Any]) -> None:
        """From now on these, by their subjects, with the claims of each."""
        written = self.accounts.with_suffix(".new")
        written.write_text(json.dumps(people))
        # The provider may read it meanwhile.
        written.replace(self.accounts)


def install(folder: Path) -> Path:
    """The modules, as the lock file names them by their hashes; nothing of theirs is run by that."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_FOLDER / name, folder)
    words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    return folder / "node_modules"


@contextmanager
def provider(folder: Path, *, port: int, web: str) -> Iterator[RunningProvider]:
    """For the server at `web`."""
    accounts, log = folder / "accounts.json", folder / "log"
    accounts.write_text("{}")
    command: list[str | Path] = [NODE or "", _FOLDER / "provider.mjs", install(folder), accounts, str(port)]
    command += [f"{web}/oidc/callback/", f"{web}/admin/login/"]
    process = processes.start(command, log=log)
    issuer = f"http://127.0.0.1:{port}"
    try:
        processes.wait_until(lambda: _answers(issuer), process=process, log=log)
        yield RunningProvider(issuer=issuer, accounts=accounts, process=process, log=log)
    finally:
        processes.stop(process, gently=signal.SIGTERM)


def _answers(issuer: str) -> bool:
    try:
        with urlopen(f"{issuer}/.well-known/openid-configuration", timeout=PATIENCE_SECONDS):
            return True
    except URLError:
        return False
