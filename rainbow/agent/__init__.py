"""The agent beside a scheduler: takes its cluster's jobs, runs them, and reports how they go."""
