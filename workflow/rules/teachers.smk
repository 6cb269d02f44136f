rule train_teacher:
    """Train a teacher on all training images of its task."""
    input:
        unpack(inputs("teachers")),
    output:
        **run_files("teachers", "history.csv"),
    log:
        log_file("teachers"),
    wildcard_constraints:
        name=r"[^/.]+(\.target)?",
    threads: threads_of("teachers")
    resources:
        **job("teachers"),
    params:
        **run_params("teachers", "train.py"),
    message:
        "Teacher {wildcards.name}, seed {wildcards.seed}"
    shell:
        TRAIN


use rule train_teacher as train_teacher_exits with:
    """Train exits on a teacher's frozen backbone (OtO)."""
    input:
        unpack(inputs("teachers")),
    output:
        **run_files("teachers", "history.csv"),
    log:
        log_file("teachers"),
    wildcard_constraints:
        name=r"[^/.]+\.exits",
    threads: threads_of("teachers")
    resources:
        **job("teachers"),
    params:
        **run_params("teachers", "train.py"),
    message:
        "Exits of teacher {wildcards.name}, seed {wildcards.seed}"


use rule train_teacher as pretrain with:
    """Train a student's backbone on the source classes."""
    input:
        unpack(inputs("pretraining")),
    output:
        **run_files("pretraining", "history.csv"),
    log:
        log_file("pretraining"),
    wildcard_constraints:
        name=r"[^/]+",
    threads: threads_of("pretraining")
    resources:
        **job("pretraining"),
    params:
        **run_params("pretraining", "train.py"),
    message:
        "Pretraining {wildcards.name}, seed {wildcards.seed}"


rule teachers:
    """Target: teachers, their exits, and pretrained backbones."""
    input:
        records("teachers", "pretraining"),
