"""The verbs that write clusters and their credentials."""
