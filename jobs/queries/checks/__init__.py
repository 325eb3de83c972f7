"""Whether the records agree with one another.

Each check is one statement over a range of ids, so that all it compares is from one moment: servers may write meanwhile
and wait for none of it.
"""
