"""`rainbow submit` with a hint where `--` is missing before the command."""

from collections.abc import Sequence

import click


class SubmitCommand(click.Command):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        said = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except (click.NoSuchOption, click.BadOptionUsage) as error:
            if "--" not in said and self._begins_with_a_word(ctx, said, error.option_name):
                hint = "put the command after --, as in: rainbow submit -- ls -l"
                raise click.UsageError(f"{error.format_message()} If it is the command's: {hint}", ctx) from error
            raise

    def _begins_with_a_word(self, ctx: click.Context, said: Sequence[str], option: str) -> bool:
        """Whether a word of the command stands before the option that is not known."""
        at = next((at for at, word in enumerate(said) if word.startswith(option)), 0)
        found, left, _ = self.make_parser(ctx).parse_args(list(said[:at]))
        return bool(left) or isinstance(found.get("words"), tuple)  # click has a mark of its own for none
