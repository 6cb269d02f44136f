use rule train_teacher as distill with:
    """Distil a teacher into a student with one method."""
    input:
        unpack(inputs("distillation")),
    output:
        **run_files("distillation", "history.csv"),
    log:
        log_file("distillation"),
    wildcard_constraints:
        name=r"[^/]+",
    threads: threads_of("distillation")
    resources:
        **job("distillation"),
    params:
        **run_params("distillation", "train.py"),
    message:
        "Distillation {wildcards.name}, seed {wildcards.seed}"


use rule train_teacher as distill_two_stage with:
    """Two-stage distillation of pretrained features, and its one-stage twin; log gradient shock."""
    input:
        unpack(inputs("two_stage")),
    output:
        **run_files("two_stage", "history.csv", "shock.csv"),
    log:
        log_file("two_stage"),
    wildcard_constraints:
        name=rf"(?!(?:{UNPROBED['two_stage']})/)[^/]+",
    threads: threads_of("two_stage")
    resources:
        **job("two_stage"),
    params:
        **run_params("two_stage", "train.py"),
    message:
        "Two stages {wildcards.name}, seed {wildcards.seed}"


if UNPROBED["two_stage"]:

    use rule distill_two_stage as distill_two_stage_unprobed with:
        """The same without the log."""
        output:
            **run_files("two_stage", "history.csv"),
        wildcard_constraints:
            name=rf"(?:{UNPROBED['two_stage']})",


use rule train_teacher as train_multi_exit with:
    """Train a student with exits: MSKD, OtO, or no teacher."""
    input:
        unpack(inputs("multi_exit")),
    output:
        **run_files("multi_exit", "history.csv"),
    log:
        log_file("multi_exit"),
    wildcard_constraints:
        name=r"[^/]+",
    threads: threads_of("multi_exit")
    resources:
        **job("multi_exit"),
    params:
        **run_params("multi_exit", "train.py"),
    message:
        "Multi-exit {wildcards.name}, seed {wildcards.seed}"


rule distillation:
    """Target: single-exit distillation, one-stage and two-stage."""
    input:
        records("distillation", "two_stage"),


rule multi_exit:
    """Target: students with exits."""
    input:
        records("multi_exit"),
