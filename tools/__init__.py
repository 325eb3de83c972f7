"""What writes the parts of the client that follow from others."""
