"""Commands of one program, for which no shell need stay: a signal then finds that program alone."""

import re

# A word of letters that mean nothing to a shell, and no option of `exec`, as bash has them.
_PROGRAM = r"(?P<program>(?!-)[A-Za-z0-9_./+-]+)"
# Quoted as a whole or not at all; no substitution, no redirection, and nothing that ends a command.
_REST = r"""(?:[^\s;&|<>()`'"\\$\#{}!*?\[\]~=]|'[^']*'|"(?:[^"\\`$]|\\[^\n]|\$[A-Za-z_])*"|\$[A-Za-z_]|[=~*?]|[ \t])*"""
_SIMPLE = re.compile(rf"{_PROGRAM}(?:[ \t]{_REST})?", re.ASCII)
# Of POSIX (Shell Command Language, 2.4 and 2.14; "Intrinsic Utilities"), dash(1) and bash(1).
_OF_SHELLS = """
    if then else elif fi do done case esac while until for in select function time coproc
    break continue eval exec exit export readonly return set shift source times trap unset .
    alias bg bind builtin caller cd chdir command compgen complete compopt declare dirs disown echo enable false fc fg
    getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read readarray shopt suspend test
    true type typeset ulimit umask unalias wait
"""
_NO_PROGRAMS = frozenset(_OF_SHELLS.split())


def without_shell(command: str) -> str:
    """The same command, with `exec` before it where it is one program. A shell that waits for a program would be ended
    by the signals that the program handles.
    """
    found = _SIMPLE.fullmatch(command)
    return f"exec {command}" if found and found["program"] not in _NO_PROGRAMS else command
