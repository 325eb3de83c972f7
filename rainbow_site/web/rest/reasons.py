from clusters.validation import MAX_REASON
from rainbow_site.web.rest.fields import LINE, Input, Text


class ReasonSerializer(Input):
    reason = Text(max_length=MAX_REASON, pattern=LINE, help_text="why, for others to read")


class OptionalReasonSerializer(Input):
    reason = Text(
        max_length=MAX_REASON, pattern=LINE, allow_blank=True, default="", help_text="why, for others to read"
    )
