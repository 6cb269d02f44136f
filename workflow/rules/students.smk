use rule train_teacher as train_student with:
    """Train a student alone, from scratch."""
    input:
        unpack(inputs("students")),
    output:
        **run_files("students", "history.csv"),
    log:
        log_file("students"),
    wildcard_constraints:
        name=r"[^/.]+\.(baseline|large)[^/]*",
    threads: threads_of("students")
    resources:
        **job("students"),
    params:
        **run_params("students", "train.py"),
    message:
        "Student {wildcards.name}, seed {wildcards.seed}"


use rule train_teacher as train_pretrained_student with:
    """Fine-tune a pretrained student with the labels alone; log gradient shock."""
    input:
        unpack(inputs("students")),
    output:
        **run_files("students", "history.csv", "shock.csv"),
    log:
        log_file("students"),
    wildcard_constraints:
        name=rf"(?!(?:{UNPROBED['students']})/)[^/.]+\.pretrained[^/]*",
    threads: threads_of("students")
    resources:
        **job("students"),
    params:
        **run_params("students", "train.py"),
    message:
        "Student {wildcards.name}, seed {wildcards.seed}"


if UNPROBED["students"]:

    use rule train_pretrained_student as train_pretrained_student_unprobed with:
        """The same without the log."""
        output:
            **run_files("students", "history.csv"),
        wildcard_constraints:
            name=rf"(?:{UNPROBED['students']})",


rule students:
    """Target: students without a teacher, from scratch and pretrained."""
    input:
        records("students"),
