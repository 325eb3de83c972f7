"""The asynchronous client. Those modules that say so are written from the synchronous one's by `make client`."""
