"""The signals that may be sent to a job, by their names without SIG; rainbow/signals.py has the same."""

SIGNALS = ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT", "STOP", "TSTP", "WINCH")
