"""What a study will take here: its work, counted from the plan, times this machine's speed."""
