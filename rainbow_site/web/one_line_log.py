import logging

_LONGEST = 300


class OneLine(logging.Filter):
    """Shortens records to one line: the sender controls the text, and the traceback adds nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The setting has another name here.
        said = record.getMessage().replace(" to ALLOWED_HOSTS", " to RAINBOW_ALLOWED_HOSTS")
        record.msg, record.args = said[:_LONGEST], ()
        record.exc_info = record.exc_text = None
        return True
