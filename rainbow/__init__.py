"""What runs outside the rainbow server: the client, the command line, and what an agent needs."""

__version__ = "0.2.0.dev0"
