"""How a process starts, and how it speaks."""
