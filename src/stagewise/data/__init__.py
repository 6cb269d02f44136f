"""Data: sources, integrity, splits, and batches that live on the device."""
