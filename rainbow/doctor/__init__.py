"""Checks for the person who sets up an agent: from here to the server, and to the scheduler."""

from rainbow.doctor.examination import Finding, Patient, Verdict, examine

__all__ = ["Finding", "Patient", "Verdict", "examine"]
