"""Networks that return their features explicitly, exits, and how to build and store them."""
