"""Runs one job of the local executor, and notes how it went; it outlives the agent that started it.

A program of its own that needs nothing but the standard library.
"""
