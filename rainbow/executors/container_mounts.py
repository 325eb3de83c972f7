"""A job's mounts, SOURCE:TARGET or SOURCE:TARGET:ro, both absolute paths; rainbow/spec_rules.py has their rules."""

import re
from dataclasses import dataclass

# What separates or quotes in the options of one runtime or another: enroot's configuration, CSV, and Apptainer's binds.
_UNSAFE = re.compile(r"[\s\"'\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    source: str
    target: str
    read_only: bool


def mount_of(text: str) -> Mount:
    source, target, *flags = text.split(":")
    return Mount(source=source, target=target, read_only=flags == ["ro"])


def has_unsafe_characters(text: str) -> bool:
    return bool(_UNSAFE.search(text))
