"""Looks at networks, in training and after."""
