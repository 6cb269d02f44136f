"""The result tables, and the forms in which they are written."""
