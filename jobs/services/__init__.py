"""The verbs that write jobs."""
