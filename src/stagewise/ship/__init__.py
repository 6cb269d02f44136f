"""A finished run leaves the house: as a function, and as files that other programs run."""
