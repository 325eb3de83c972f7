"""`rainbow submit`: its help in sections, and a hint where `--` is missing before the command."""

from collections.abc import Sequence

import click

# The parameters in each section of the help; what is in none of them comes last.
SECTIONS = {
    "What to run": (
        "command", "name", "environment", "working_directory", "secrets", "inputs", "input_urls", "outputs",
        "image", "mounts",
    ),
    "Its size": (
        "nodes", "tasks", "cores_per_task", "gpus_per_task", "gpus_per_node", "gpu_type", "memory_mib_per_node",
        "exclusive", "time_limit_seconds",
    ),
    "Where and when": (
        "needs", "clusters", "spill_after_seconds", "hold_if_unservable", "after", "expires_at", "expires_in",
        "start_within_seconds",
    ),
    "Options of the scheduler": ("account", "partition", "qos", "reservation", "constraint", "options_by_cluster"),
    "In the queue": (
        "project", "priority", "labels", "idempotency_key", "on_lost", "retry_most", "retry_on", "resubmission_of",
    ),
    "Signing": ("sign", "signing_key", "sign_for", "sign_runs"),
    "Waiting, and many jobs": (
        "wait", "array", "each", "file", "key_prefix", "group_name", "at_once", "stop_after_failures", "group",
        "array_index",
    ),
    "Server and credential": (
        "host", "cluster", "tls", "ca_file", "cert_file", "key_file", "timeout", "token", "token_file",
    ),
}  # fmt: skip
THE_REST = "Other options"


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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        left = {str(option.name): record for option in options if (record := option.get_help_record(ctx))}
        sections = {title: [left.pop(name) for name in names if name in left] for title, names in SECTIONS.items()}
        for title, records in {**sections, THE_REST: list(left.values())}.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def _begins_with_a_word(self, ctx: click.Context, said: Sequence[str], option: str) -> bool:
        """Whether a word of the command stands before the option that is not known."""
        at = next((at for at, word in enumerate(said) if word.startswith(option)), 0)
        found, left, _ = self.make_parser(ctx).parse_args(list(said[:at]))
        return bool(left) or isinstance(found.get("words"), tuple)  # click has a mark of its own for none
