"""Checks for the person who sets up an agent: from here to the server, and to the scheduler."""
