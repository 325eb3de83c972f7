"""What the command line knows before it is told: flags, then the environment, then a file, then defaults."""

import os
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from rainbow.address import with_port
from rainbow.errors import InvalidArgument, why

DEFAULTS: Mapping[str, Any] = {
    "host": "localhost:50051",
    "cluster": "keebler",
    "token": "",
    "secret": "",
    "registration_secret": "chocolate-cookies",
    "tls": False,
    "ca_file": "",
    "cert_file": "",
    "key_file": "",
    "sign": False,
    "signing_key": "",
}
FILES = ("ca_file", "cert_file", "key_file")
CREDENTIALS = ("token", "secret", "registration_secret")
SPOKEN = {"token": "token", "secret": "secret", "registration_secret": "registration secret"}
SWITCHES = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
PERSONAL = "rbu_"
WHAT_A_PERSON_CAN_DO = "`rainbow projects` lists the clusters it may use, `rainbow login` gets a new token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the server is, which cluster is meant, and the credentials for it; empty where nobody said.

    `sign`: whether each job that is submitted is signed, by the key in the file `signing_key`.

    `sources` names the place that each setting is from, `unknown` what the file says that is no setting.
    """

    host: str
    cluster: str
    token: str = field(repr=False)
    secret: str = field(repr=False)
    registration_secret: str = field(repr=False)
    tls: bool
    ca_file: str
    cert_file: str
    key_file: str
    sign: bool = False
    signing_key: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def encryption(self) -> dict[str, Any]:
        """What a client takes."""
        return {"tls": self.tls, **{name: getattr(self, name) or None for name in FILES}}

    @property
    def of_clients(self) -> dict[str, Any]:
        """What makes a client; which credentials it gets is for who makes it to say."""
        return {"host": self.host, "cluster": self.cluster, **self.encryption}

    def described(self, credential: str) -> str:
        """Which credential this is and where it is from, without its value."""
        where = f"at {self.host}, from {self.sources.get(credential, 'the default')}"
        if credential == "token" and self.token.startswith(PERSONAL):
            return f"the personal token, for cluster {self.cluster} {where}; {WHAT_A_PERSON_CAN_DO}"
        owner = "" if credential == "registration_secret" else f" of cluster {self.cluster}"
        return f"the {SPOKEN[credential]}{owner} {where}"


def settings(flags: Mapping[str, Any], *, named: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. `flags` holds what was said on the command line, by setting, `named` by which flag.

    Of the file, the table of the cluster in force goes before the defaults at the file's top. What is empty
    counts as not said.
    """
    environment, file = _environment(), read_file(config_path())
    told = {**DEFAULTS, **_known(file), **environment, **_known(flags)}
    places = (file, _table(file, told["cluster"]), environment, flags)
    known = {name: value for place in places for name, value in _with_tls(_known(place)).items()}
    sources = {
        **{name: str(config_path()) for place in places[:2] for name in _known(place)},
        **{name: f"RAINBOW_{name.upper()}" for name in environment},
        **{name: (named or {}).get(name, f"--{name}") for name in _known(flags)},
    }
    found = Settings(
        **{**DEFAULTS, **known, "cluster": told["cluster"]}, sources=sources, unknown=tuple(_unknown(file))
    )
    found = replace(found, host=_host(found))
    return found if found.tls else replace(found, ca_file="", cert_file="", key_file="")


def environment() -> dict[str, str]:
    """All variables, for those that hand some of them on."""
    return dict(os.environ)


def config_path() -> Path:
    """Where the file is, whether or not it exists."""
    named = os.environ.get("RAINBOW_CONFIG")
    return Path(named) if named else Path(platformdirs.user_config_dir("rainbow")) / "config.toml"


def read_file(path: Path) -> dict[str, Any]:
    """The file's content; empty if there is none. Raises InvalidArgument for one that others may read."""
    return parse(read_text(path), path=path)


def read_text(path: Path) -> str:
    try:
        # Some editors begin a file with a mark of its encoding.
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"cannot read {path}: {why(error)}") from error
    if mode & 0o077 and _holds_credentials(parse(text, path=path)):
        raise InvalidArgument(
            f"{path} holds credentials, and others may read or change it (mode {mode:04o}); "
            f"run: chmod 600 {shlex.quote(str(path))}"
        )
    return text


def parse(text: str, *, path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is not valid TOML: {error}") from error
    for table in (content, *_clusters(content, path=path).values()):
        _check_types(table, path=path)
    return content


def silence_grpc() -> None:
    """Its core writes lines of its own about failures that our messages tell. It reads this when it is loaded."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def traces_wanted() -> bool:
    """Raises InvalidArgument."""
    text = os.environ.get("RAINBOW_TRACES", "")
    return _switch(text, of="RAINBOW_TRACES") if text else False


def _environment() -> dict[str, Any]:
    told: dict[str, Any] = _known({name: os.environ.get(f"RAINBOW_{name.upper()}", "") for name in DEFAULTS})
    for name in told.keys() & {"tls", "sign"}:
        told[name] = _switch(told[name], of=f"RAINBOW_{name.upper()}")
    return told


def _host(found: Settings) -> str:
    try:
        return with_port(found.host)
    except InvalidArgument as error:
        source = found.sources["host"]
        where = source if source.startswith(("--", "RAINBOW_")) else f"host in {source}"
        raise InvalidArgument(f"{where}: {error.message}") from error


def _switch(text: str, *, of: str = "RAINBOW_TLS") -> bool:
    if text.lower() not in SWITCHES:
        raise InvalidArgument(f"{text!r} is neither true nor false", field=of)
    return SWITCHES[text.lower()]


def _holds_credentials(content: Mapping[str, Any]) -> bool:
    tables = [content, *content.get("clusters", {}).values()]
    return any(table.get(name) for table in tables for name in CREDENTIALS)


def _clusters(content: Mapping[str, Any], *, path: Path) -> Mapping[str, Any]:
    clusters = content.get("clusters", {})
    if not isinstance(clusters, dict) or not all(isinstance(table, dict) for table in clusters.values()):
        raise InvalidArgument(f"in {path}, each cluster must be a table such as [clusters.keebler]")
    return clusters


def _check_types(table: Mapping[str, Any], *, path: Path) -> None:
    for name, value in _known(table).items():
        expected = type(DEFAULTS[name])
        if not isinstance(value, expected):
            words = {str: "a string", bool: "true or false"}[expected]
            raise InvalidArgument(f"{name}: must be {words} in {path}")


def _unknown(file: Mapping[str, Any]) -> list[str]:
    tables = [file, *file.get("clusters", {}).values()]
    return sorted({name for table in tables for name in table} - {*DEFAULTS, "clusters"})


def _table(file: Mapping[str, Any], cluster: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = file.get("clusters", {}).get(cluster, {})
    return table


def _known(place: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in place.items() if name in DEFAULTS and value != ""}


def _with_tls(place: Mapping[str, Any]) -> dict[str, Any]:
    """Whoever names certificates asks for TLS, unless the same place says no."""
    return {"tls": True, **place} if any(name in place for name in FILES) else dict(place)
