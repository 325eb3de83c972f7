"""The adapters to schedulers, one for each."""
