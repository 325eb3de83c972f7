"""What client, agent and server tell of their work: log lines, and the ids by which calls are found in them."""
