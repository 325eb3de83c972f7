"""Text that others wrote, so that it can neither drive a terminal nor pass for further lines of a log."""

ELLIPSIS = "…"


def printable(text: str) -> str:
    """The text with its control characters escaped; tabs and the ends of lines stay."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escaped(character) for character in text
    )


def on_one_line(text: str, *, longest: int = 0) -> str:
    """The same with tabs and ends of lines escaped as well; `longest` bounds it, 0 does not."""
    shown = text[: longest + 1] if longest else text
    line = printable(shown).replace("\n", "\\n").replace("\t", "\\t")
    return line if not longest or len(line) <= longest else line[: longest - 1] + ELLIPSIS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()
