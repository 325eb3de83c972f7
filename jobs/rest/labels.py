"""Labels in a query string: `label=team=physics&label=run=7`."""

from collections.abc import Mapping, Sequence

from jobs.specs import check_labels
from rainbow.errors import InvalidArgument

DESCRIPTION = "key=value; may be repeated, and all have to match"
# For the schema: the service checks, in its words.
PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[^\x00-\x1f\x7f-\x9f]{0,255}$"


def labels_from(pairs: Sequence[str]) -> Mapping[str, str]:
    """Raises InvalidArgument."""
    labels = dict(_pair(text) for text in pairs)
    try:
        check_labels(labels)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, field="label") from None
    return labels


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidArgument("must be key=value", field="label")
    return key, value
