"""What runs left, read and checked; measures that follow from it run by run."""
