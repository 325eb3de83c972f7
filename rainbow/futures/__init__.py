"""Jobs as futures of the standard library's concurrent.futures."""
