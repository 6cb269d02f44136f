"""The runs of a study, one file of functions a kind of step; each yields runs, parents first."""
