"""README, gallery and kept evidence, made from results."""
