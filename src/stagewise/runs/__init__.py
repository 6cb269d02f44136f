"""A spec becomes a folder: start, train or prune, and write what later steps read."""
