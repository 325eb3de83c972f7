"""The agent beside a scheduler: takes its cluster's jobs, runs them, and tells how they go."""

from rainbow.agent.agent import Agent
from rainbow.agent.identity import identity_in
from rainbow.agent.post import Checkpoint, Habits, Post

__all__ = ["Agent", "Checkpoint", "Habits", "Post", "identity_in"]
