"""From a configuration to a plan of runs. Nothing here imports torch."""
