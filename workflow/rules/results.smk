rule runs:
    """Target: every run of the study."""
    input:
        records(*STEPS),
