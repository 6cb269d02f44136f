"""What the papers say, as data: claims and published values. Never imports torch."""
