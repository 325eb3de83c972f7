"""The rules of the fields that a job may leave out, for values that are said. Each raises InvalidArgument.

The server has the same rules (jobs/spec_rules.py and clusters/needs.py), and a test compares them.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from rainbow.errors import InvalidArgument
from rainbow.rules import check_line, check_range, size_in_bytes

MAX_CORES_PER_TASK = 65_536
MAX_GPUS_PER_TASK = 1_024
MAX_MEMORY_MIB_PER_NODE = 2**30  # a PiB
MIN_START_WITHIN_SECONDS = 60
MAX_START_WITHIN_SECONDS = 365 * 24 * 3600
MAX_OPTION = 255
MAX_OPTIONS_BY_CLUSTER = 64
MAX_IMAGE = 1024
MAX_MOUNTS = 32
MAX_MOUNTS_BYTES = 16 * 1024
MAX_SECRETS = 32
MAX_FILES = 64
MAX_INPUT_URL = 2048
MAX_FILE_NAME = 1024
MAX_FILE_PART = 255  # what file systems take
MAX_INPUTS_BYTES = 4 * 1024 * 1024
MAX_NEEDS = 32
MAX_NEED_VALUE = 255
MAX_RETRIES = 100
# Ids and indexes travel as int32.
MAX_ID = 2**31 - 1

# What every job finds in its environment is the agent's to say.
OWN_VARIABLES = frozenset(
    f"RAINBOW_{name}" for name in ("JOB_ID", "ATTEMPT", "CLUSTER", "GROUP", "ARRAY_INDEX", "FILES")
)

# What a site's scheduler calls by these names, too.
SITE_OPTIONS = ("account", "partition", "qos", "reservation", "constraint")

_CONTROL = r"\x00-\x1f\x7f-\x9f"
GPU_TYPE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
OPTION_AT_CLUSTER = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}:(?:{'|'.join(SITE_OPTIONS)})"
# The grammar of https://github.com/distribution/reference, without IPv6 addresses.
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_OCI = (
    rf"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,})?"
)
# A part of a path is neither empty, nor "." or "..".
_SIF = rf"(?:/(?!\.{{1,2}}(?:/|$))[^/:,\s{_CONTROL}]+)+"
IMAGE = rf"(?:{_OCI}|{_SIF})"
_PATH = rf"(?:/(?!\.{{1,2}}(?:[/:]|$))[^/:,{_CONTROL}]+)+"
MOUNT = rf"{_PATH}:{_PATH}(?::ro)?"
# A cluster's facts are numbers or texts.
_NEED_NAME = r"[A-Za-z][A-Za-z0-9._-]{0,62}"
_NEED_NUMBER = r"(?:[0-9]{1,15}|[0-9]{1,9}\.[0-9]{1,6})"
_NEED = re.compile(rf"!?{_NEED_NAME}|{_NEED_NAME}>={_NEED_NUMBER}|{_NEED_NAME}=(?P<value>(?![<=>]).*)", re.DOTALL)

# A path below a folder, of up to 16 parts.
_FILE_PART = rf"(?!\.{{1,2}}(?:/|$))[^/{_CONTROL}]+"
FILE = rf"{_FILE_PART}(?:/{_FILE_PART}){{0,15}}"
DIGEST = r"[0-9a-f]{64}"
# Without a user and a password, which others would read on the job's record.
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
INPUT_URL = rf"https?://{_HOST}(?::[0-9]{{1,5}})?(?:[/?][!-\"$-~]*)?#sha256={DIGEST}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
SECRET_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
SECRET = rf"site:{SECRET_NAME}"

_FILE, _DIGEST, _INPUT_URL = re.compile(FILE), re.compile(DIGEST), re.compile(INPUT_URL)
_VARIABLE, _SECRET = re.compile(VARIABLE), re.compile(SECRET)
_OPTION_AT_CLUSTER, _IMAGE, _MOUNT = re.compile(OPTION_AT_CLUSTER), re.compile(IMAGE), re.compile(MOUNT)
_GPU_TYPES = "must be 1 to 63 letters, digits, dots, underscores and hyphens, the first a letter or digit"
_KEYS = f"keys must be CLUSTER:OPTION, with one of the options {', '.join(SITE_OPTIONS)}"
_IMAGES = (
    "must be an OCI reference such as docker.io/library/debian:12, without a scheme, or the absolute path of a file,"
    " without .., white space, commas and colons"
)
_MOUNTS = (
    "must be SOURCE:TARGET or SOURCE:TARGET:ro, both absolute paths below /, without .., commas, colons and control"
    " characters"
)
_FILES = "names must be relative paths of up to 16 parts, without empty parts, . and .."
_INPUT_URLS = (
    "values must be https://HOST/PATH#sha256=HEX, or http://, where HEX is the file's SHA-256 as 64 hexadecimal digits"
    " in lower case; without user and password, and in ASCII, with all else percent-encoded"
)
_DIGESTS = "values must be SHA-256 digests of 64 hexadecimal digits, in lower case"
_SECRETS = (
    "values must be site:NAME, where the site's name of the secret is 1 to 63 letters, digits, dots, underscores and"
    " hyphens, the first a letter or digit"
)
_TERMS = (
    "terms must be NAME, !NAME, NAME=VALUE or NAME>=NUMBER; a name is 1 to 63 letters, digits, dots, underscores and"
    " hyphens, the first a letter; a number is up to 15 digits, or up to 9 with up to 6 decimals"
)


def _check_pattern(pattern: re.Pattern[str], words: str, text: str, *, field: str) -> None:
    if not pattern.fullmatch(text):
        raise InvalidArgument(words, field=field)


def _check_option(text: str, *, field: str) -> None:
    check_line(text, field=field, longest=MAX_OPTION)
    if text.startswith("-"):
        raise InvalidArgument("must not begin with a hyphen", field=field)


def _check_options_by_cluster(options: Mapping[str, str]) -> None:
    _check_number(options, MAX_OPTIONS_BY_CLUSTER, field="options_by_cluster")
    for key, value in options.items():
        _check_pattern(_OPTION_AT_CLUSTER, _KEYS, key, field="options_by_cluster")
        _check_option(value, field="options_by_cluster")


def _check_image(image: str) -> None:
    check_line(image, field="image", longest=MAX_IMAGE)
    _check_pattern(_IMAGE, _IMAGES, image, field="image")


def _check_mounts(mounts: Sequence[str]) -> None:
    _check_number(mounts, MAX_MOUNTS, field="mounts")
    size = sum(size_in_bytes(mount, field="mounts") for mount in mounts)
    if size > MAX_MOUNTS_BYTES:
        raise InvalidArgument(f"must be at most {MAX_MOUNTS_BYTES:,} bytes in all, not {size:,}", field="mounts")
    for mount in mounts:
        _check_pattern(_MOUNT, _MOUNTS, mount, field="mounts")


def _check_needs(needs: Sequence[str]) -> None:
    _check_number(needs, MAX_NEEDS, field="needs")
    for need in needs:
        _check_need(need)


def check_variable(name: str, *, field: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise InvalidArgument("names must be letters, digits and underscores, the first not a digit", field=field)
    if name in OWN_VARIABLES:
        raise InvalidArgument(f"must not set {name}, which rainbow sets for each job", field=field)


def _check_secrets(secrets: Mapping[str, str]) -> None:
    _check_number(secrets, MAX_SECRETS, field="secrets")
    for name, secret in secrets.items():
        check_variable(name, field="secrets")
        check_line(name, field="secrets", longest=MAX_OPTION)
        _check_pattern(_SECRET, _SECRETS, secret, field="secrets")


def _check_inputs(inputs: Mapping[str, str]) -> None:
    check_file_names(inputs, field="inputs")
    for digest in inputs.values():
        _check_pattern(_DIGEST, _DIGESTS, digest, field="inputs")


def _check_input_urls(urls: Mapping[str, str]) -> None:
    check_file_names(urls, field="input_urls")
    for url in urls.values():
        check_line(url, field="input_urls", longest=MAX_INPUT_URL)
        _check_pattern(_INPUT_URL, _INPUT_URLS, url, field="input_urls")


def _check_all_inputs(inputs: Mapping[str, str], urls: Mapping[str, str]) -> None:
    if inputs.keys() & urls.keys():
        raise InvalidArgument("a name must not be there twice", field="input_urls")
    check_file_names([*inputs, *urls], field="input_urls")


def _check_outputs(patterns: Sequence[str]) -> None:
    """As names of files, but one may be below another."""
    _check_number(patterns, MAX_FILES, field="outputs")
    for pattern in patterns:
        check_file_name(pattern, field="outputs")


def check_file_names(names: Collection[str], *, field: str) -> None:
    """Names of files in a job's folder, none of which leads out of it or is a folder of another."""
    if len(names) > MAX_FILES:
        raise InvalidArgument(f"must be at most {MAX_FILES}, not {len(names):,}", field=field)
    for name in names:
        check_file_name(name, field=field)
    folders = {name[:at] for name in names for at, mark in enumerate(name) if mark == "/"}
    if folders & set(names):
        raise InvalidArgument("a name must not be a folder of another", field=field)


def check_file_name(name: str, *, field: str) -> None:
    check_line(name, field=field, longest=MAX_FILE_NAME)
    _check_pattern(_FILE, _FILES, name, field=field)
    if any(len(part.encode()) > MAX_FILE_PART for part in name.split("/")):
        raise InvalidArgument(f"each part of a name must be at most {MAX_FILE_PART} bytes", field=field)


def _check_number(items: Sequence[str] | Mapping[str, str], most: int, *, field: str) -> None:
    if len(items) > most:
        raise InvalidArgument(f"must be at most {most}, not {len(items):,}", field=field)


def _check_need(need: str) -> None:
    term = _NEED.fullmatch(need)
    if not term:
        raise InvalidArgument(_TERMS, field="needs")
    if (value := term["value"]) is not None:
        if not value:
            raise InvalidArgument("must not be empty", field="needs")
        check_line(value, field="needs", longest=MAX_NEED_VALUE)


# By field.
RULES: Mapping[str, Callable[[Any], None]] = {
    "cores_per_task": partial(check_range, field="cores_per_task", lowest=0, highest=MAX_CORES_PER_TASK),
    "gpus_per_task": partial(check_range, field="gpus_per_task", lowest=0, highest=MAX_GPUS_PER_TASK),
    "gpu_type": partial(_check_pattern, re.compile(GPU_TYPE), _GPU_TYPES, field="gpu_type"),
    "memory_mib_per_node": partial(check_range, field="memory_mib_per_node", lowest=0, highest=MAX_MEMORY_MIB_PER_NODE),
    **{name: partial(_check_option, field=name) for name in SITE_OPTIONS},
    "options_by_cluster": _check_options_by_cluster,
    "image": _check_image,
    "mounts": _check_mounts,
    "secrets": _check_secrets,
    "inputs": _check_inputs,
    "input_urls": _check_input_urls,
    "outputs": _check_outputs,
    "needs": _check_needs,
    "group": partial(check_range, field="group", lowest=0, highest=MAX_ID),
    "array_index": partial(check_range, field="array_index", lowest=0, highest=MAX_ID),
    "start_within_seconds": partial(
        check_range, field="start_within_seconds", lowest=MIN_START_WITHIN_SECONDS, highest=MAX_START_WITHIN_SECONDS
    ),
}
# What one field needs of another.
NEEDED = {"gpu_type": "gpus_per_task", "mounts": "image"}


def check_said(said: Mapping[str, Any]) -> None:
    """The fields that are said, by name. Raises InvalidArgument for the first that breaks its rule."""
    for name, value in said.items():
        if name in RULES:
            RULES[name](value)
    for name, other in NEEDED.items():
        if name in said and other not in said:
            raise InvalidArgument(f"needs {other}", field=name)
    if "inputs" in said and "input_urls" in said:
        _check_all_inputs(said["inputs"], said["input_urls"])
