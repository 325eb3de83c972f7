"""The hot statements of the queue, one each, as plain SQL built from the models' own names.

docs/decisions/0003-plain-sql.md says why. Both databases run the same tests.
"""
