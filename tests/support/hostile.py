"""What hostile submitters and servers put into the fields of a job."""

from typing import Any

from hypothesis import strategies as st

# What it would leave behind if a shell ever took a field for more than it is.
MARK = "owned"
TRICKS = [
    f"; touch {MARK}; ",
    f"\ntouch {MARK}\n",
    f"$(touch {MARK})",
    f"`touch {MARK}`",
    f"' ; touch {MARK} ; '",
    f"'\"$(touch {MARK})\"'",
    f'" ; touch {MARK} ; "',
    f"\\'; touch {MARK} #",
    f"\n#SBATCH --wrap='touch {MARK}'\n",
    f"|| touch {MARK} ||",
    f"& touch {MARK} &",
    f"${{X:=$(touch {MARK})}}",
    "\\",
    "'",
    '"',
    "$'\\n'",
    "${IFS}",
    "*",
    "~",
    "%n%%",
    "{{}}",
    "{command}",
    "\u2028",
    "\u0085",
    "é🌈",
]
# Variables that shells, loaders and interpreters read.
SHELL_NAMES = ["IFS", "PATH", "ENV", "BASH_ENV", "CDPATH", "PS4", "LC_ALL", "PYTHONPATH", "HOME", "TMPDIR", "status",
               "signal", "name", "LD_LIBRARY_PATH", "SLURM_JOB_ID", "SLURM_JWT", "FLUX_JOB_ID"]  # fmt: skip
BAD_NAMES = [
    f"A=1; touch {MARK}; B",
    f"A[$(touch {MARK})]",
    f"A\ntouch {MARK}\nB",
    "A B",
    "1A",
    "A-B",
    "",
    "-p",
    "é",
    "BASH_FUNC_sh%%",
    "A\x1b[2J",
]
WORDS = [
    "a100", "-p", "--wrap=touch owned", "a&b|c*[2]", "keebler:partition", "keebler:nodes", ":qos", "a:b:qos",
    "docker.io/library/debian:12", "debian", "Debian", "quay.io:443/a/b@sha256:" + "0" * 64, "docker://debian",
    "a/../b", "/images/a.sif", "/images/../a.sif", "/a b.sif", "/", "//", "/data:/data", "/data:/data:ro",
    "/data:/data:rw", "/data/../etc:/etc", "/a,b:/c", "/a:b", "data:/data", "/a/.:/b", "/.a:/..b", "gpu", "!gpu",
    "!!gpu", "site=geneva", "site=", "gpus>=8", "gpus>=8.5", "gpus>=1e3", "gpus>8", "gpus>=", "gpus>=" + "9" * 16,
    "1gpu",
]  # fmt: skip
NASTY_NUMBERS = [0, 1, -1, 100, 101, -101, 2**31 - 1, 2**31, -(2**31), 10**30, 31_536_000, 31_536_001]

any_text = st.one_of(
    st.text(max_size=20),
    st.lists(st.one_of(st.sampled_from(TRICKS), st.text(max_size=5)), max_size=5).map("".join),
    st.sampled_from(["", "a\0b", "\x1b[31m", "\udcff", "x" * 256, "x" * 4097, "\r"]),
)
any_number = st.one_of(st.sampled_from(NASTY_NUMBERS), st.integers())
any_name = st.one_of(st.sampled_from([*BAD_NAMES, *SHELL_NAMES]), st.text(max_size=10))
any_directory = st.one_of(any_text, any_text.map("/{}".format))
# Options of a scheduler, images, mounts and needs: some are right, and some nearly.
any_word = st.one_of(any_text, st.sampled_from(WORDS), st.tuples(st.sampled_from(WORDS), any_text).map("".join))

# A job with any content of the right kinds, as JSON of a hostile server has it.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": any_text,
    "command": any_text,
    "nodes": any_number,
    "tasks": any_number,
    "priority": any_number,
    "time_limit_seconds": any_number,
    "environment": st.dictionaries(any_name, any_text, max_size=3),
    "working_directory": any_directory,
    "labels": st.dictionaries(any_text, any_text, max_size=3),
    "cores_per_task": any_number,
    "gpus_per_task": any_number,
    "gpu_type": any_word,
    "memory_mib_per_node": any_number,
    "exclusive": st.booleans(),
    **dict.fromkeys(("account", "partition", "qos", "reservation", "constraint"), any_word),
    "options_by_cluster": st.dictionaries(any_word, any_text, max_size=3),
    "image": st.one_of(any_word, any_directory),
    "mounts": st.lists(any_word, max_size=3).map(tuple),
    "needs": st.lists(any_word, max_size=3).map(tuple),
    "start_within_seconds": any_number,
    "inputs": st.dictionaries(
        st.one_of(any_text, any_directory, st.sampled_from(["a", "a/b", "../a"])),
        st.one_of(any_text, st.just("0" * 64)),
        max_size=3,
    ),
    "outputs": st.lists(st.one_of(any_word, any_directory), max_size=3).map(tuple),
    "secrets": st.dictionaries(any_name, st.one_of(any_text, any_text.map("site:{}".format)), max_size=3),
}
any_specs = st.fixed_dictionaries(FIELDS)
# And with any kind of value at all.
any_json = st.recursive(
    st.one_of(st.none(), st.booleans(), any_number, st.floats(), any_text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(any_text, inner, max_size=3)),
    max_leaves=5,
)

# What the protocol allows, and what is as nasty as it allows.
_no_null = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
_printed = st.characters(exclude_categories=["Cs", "Cc"])
nasty_value = st.lists(st.one_of(st.sampled_from(TRICKS), st.text(_no_null, max_size=5)), max_size=5).map("".join)
_commandable = st.sampled_from([trick for trick in TRICKS if "\u0085" not in trick])
nasty_command = (
    st.lists(st.one_of(_commandable, st.text(_printed, max_size=5)), min_size=1, max_size=5)
    .map("".join)
    .filter(str.strip)
)
nasty_name = st.one_of(st.sampled_from(SHELL_NAMES), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True))
nasty_environment = st.dictionaries(nasty_name, nasty_value, max_size=4)
_in_paths = [trick for trick in TRICKS if trick.isprintable() and "/" not in trick]
nasty_folder = st.lists(st.sampled_from(_in_paths), min_size=1, max_size=2).map("".join).map("dir {}".format)
