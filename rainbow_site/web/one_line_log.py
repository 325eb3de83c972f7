"""What refused requests leave in the log."""

import logging

_LONGEST = 300


class OneLine(logging.Filter):
    """One short line for each: its sender chose what it says, and a stack trace tells nothing more."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Our operators know the setting by another name than Django does.
        said = record.getMessage().replace(" to ALLOWED_HOSTS", " to RAINBOW_ALLOWED_HOSTS")
        record.msg, record.args = said[:_LONGEST], ()
        record.exc_info = record.exc_text = None
        return True
