"""The agent beside a scheduler: takes its cluster's jobs, runs them, and tells how they go."""

from rainbow.agent.agent import Agent
from rainbow.agent.context import Checkpoint, Habits, Post
from rainbow.agent.identity import identity_in

__all__ = ["Agent", "Checkpoint", "Habits", "Post", "identity_in"]
