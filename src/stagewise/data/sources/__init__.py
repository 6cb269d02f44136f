"""Data sources, one file each: ``load`` returns the images of one data set."""
