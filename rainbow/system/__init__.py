"""What rainbow asks of Linux beyond the standard library: files that others may have made, disk space, prctl."""
