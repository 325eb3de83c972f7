"""Reading settings out of an environment: what is empty is not set, and what is wrong is refused by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

_SWITCHES = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_MOST_DIGITS = 9
# In place of secrets in deploy/kubernetes/secret.example.yaml, which all can read.
_PLACEHOLDER = "CHANGE-ME"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class WrongSetting(ImproperlyConfigured):
    """A variable holds what it cannot be; the message names it and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Environment:
    variables: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.variables.get(name) or default

    def secret(self, name: str, default: str = "") -> str:
        """Raises WrongSetting for the placeholder of the samples."""
        text = self.text(name, default)
        if text.strip() == _PLACEHOLDER:
            raise WrongSetting(f"{name}: must be your own, such as `openssl rand -hex 32` makes one, not {text!r}")
        return text

    def number(self, name: str, default: int, *, lowest: int, highest: int) -> int:
        """Raises WrongSetting."""
        text = self.text(name, str(default)).strip()
        if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS and lowest <= int(text) <= highest:
            return int(text)
        raise WrongSetting(f"{name}: must be a number from {lowest:,} to {highest:,}, not {text!r}")

    def switch(self, name: str, *, default: bool = False) -> bool:
        """Raises WrongSetting."""
        text = self.text(name, str(default)).strip().lower()
        if text not in _SWITCHES:
            raise WrongSetting(f"{name}: must be true or false, not {text!r}")
        return _SWITCHES[text]

    def choice(self, name: str, default: str, *, among: Sequence[str]) -> str:
        """One of these words, which are in capitals. Raises WrongSetting."""
        text = self.text(name, default).strip().upper()
        if text not in among:
            raise WrongSetting(f"{name}: must be one of {', '.join(among)}, not {text!r}")
        return text

    def address(self, name: str) -> str:
        """An https URL, or an http one of this machine; empty if it is not set. Raises WrongSetting."""
        text = self.text(name).strip()
        parts = urlsplit(text)
        plain = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
        if text and not (parts.hostname and (parts.scheme == "https" or plain)):
            raise WrongSetting(f"{name}: must be an https:// URL, not {text!r}")
        return text

    def words(self, name: str, default: str) -> list[str]:
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]
