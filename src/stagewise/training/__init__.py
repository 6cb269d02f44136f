"""The one training loop, its optimiser, schedules and checkpoints."""
