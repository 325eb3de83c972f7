"""`--export`: which variables of the submitting environment the job gets. None, unless it says so.

A variable may hold a credential, or name a path that is none at the cluster: so each is for the submitter to send.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from rainbow.errors import InvalidArgument

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Of this machine and this login. The cluster sets those that a job needs.
OF_THIS_MACHINE = frozenset(
    ("_", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "GRPC_VERBOSITY", "HOME", "HOST", "HOSTNAME", "KRB5CCNAME", "LANG",
     "LOGNAME", "LS_COLORS", "MAIL", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "TERM", "TMPDIR", "USER",
     "WAYLAND_DISPLAY", "XAUTHORITY")
)  # fmt: skip
NOT_OURS = ("RAINBOW_", "SBATCH_", "SLURM_", "SLURMD_", "SQUEUE_", "SACCT_", "SCANCEL_", "SSH_", "XDG_", "FLUX_")
_CREDENTIAL = re.compile(
    r"TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|PASSCODE|CREDENTIAL|COOKIE|AUTH(?!OR)|(API|ACCESS|PRIVATE)_?KEY|"
    r"_(JWT|KEY|PAT|PWD)$|PASS$",
    re.IGNORECASE,
)
# As of a database, or of a proxy: ://USER:PASSWORD@ and ://TOKEN@.
_CREDENTIAL_IN_URL = re.compile(r"://[^/?#@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    variables: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def exported(text: str | None, environment: Mapping[str, str]) -> Exported:
    """Raises InvalidArgument."""
    parts = _parts(text or "NONE")
    variables: dict[str, str] = {}
    warnings: list[str] = []
    for part in parts:
        name, equals, value = part.partition("=")
        if part in ("NONE", "NIL"):
            continue
        if part == "ALL":
            variables = {**_whole(environment), **variables}
            warnings += _held_back(environment, named=parts)
        elif not _NAME.fullmatch(name):
            raise InvalidArgument(f"--export: {name!r} is no name of a variable")
        elif equals:
            variables[name] = value
        elif name in environment:
            variables[name] = environment[name]
        else:
            warnings.append(f"--export: {name} is not set here, and is left out")
    return Exported(variables=variables, warnings=tuple(warnings))


def _parts(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters, lexer.escape = ",", True, "", ""
    try:
        return [part.strip() for part in lexer if part.strip()]
    except ValueError as error:
        raise InvalidArgument(f"--export={text}: a quote is not closed") from error


def _whole(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environment.items() if _is_for_jobs(name) and not _is_credential(name, value)
    }


def _is_credential(name: str, value: str) -> bool:
    return bool(_CREDENTIAL.search(name) or _CREDENTIAL_IN_URL.search(value))


def _is_for_jobs(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and name not in OF_THIS_MACHINE and not name.startswith((*NOT_OURS, "BASH_FUNC"))


def _held_back(environment: Mapping[str, str], *, named: list[str]) -> list[str]:
    names = [name for name in sorted(environment) if _is_for_jobs(name) and _is_credential(name, environment[name])]
    held = [name for name in names if not any(part.partition("=")[0] == name for part in named)]
    if not held:
        return []
    return [f"--export=ALL leaves out what looks like credentials: {', '.join(held)}; name one to send it"]
