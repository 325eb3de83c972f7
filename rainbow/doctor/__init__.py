"""The checks of `rainbow doctor`: from this machine to the server, and to the scheduler."""
