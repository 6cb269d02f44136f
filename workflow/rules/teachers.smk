# A tuning study appends ".lr-…" to names.
# What methods need of a teacher beyond the plain one has the names that the plan gives it; "-" is no name.
PARTS = (
    "|".join(
        dict.fromkeys(
            re.escape(run.name)
            for run in PLAN.step("teachers")
            if run.spec.init == "parent" or run.spec.exits
        )
    )
    or "-"
)


rule train_teacher:
    """Train a teacher on all training images of its task."""
    input:
        unpack(inputs("teachers")),
    output:
        **run_files("teachers", "history.csv"),
    log:
        log_file("teachers"),
    wildcard_constraints:
        name=r"[^/.]+(\.target)?(\.lr-[^/]+)?",
    threads: threads_of("teachers")
    resources:
        **job("teachers"),
    params:
        **run_params("teachers", "train.py"),
    message:
        "Teacher {wildcards.name}, seed {wildcards.seed}"
    shell:
        TRAIN


use rule train_teacher as train_assistant with:
    """Teach a network between teacher and student, for methods that learn from it (TAKD)."""
    input:
        unpack(inputs("teachers")),
    output:
        **run_files("teachers", "history.csv"),
    log:
        log_file("teachers"),
    wildcard_constraints:
        name=r"[^/.]+(\.target)?\.assistant-[0-9]+(\.lr-[^/]+)?",
    threads: threads_of("teachers")
    resources:
        **job("teachers"),
    params:
        **run_params("teachers", "train.py"),
    message:
        "Assistant {wildcards.name}, seed {wildcards.seed}"


use rule train_teacher as train_teacher_part with:
    """Train what a method needs on a teacher's frozen backbone, or a teacher with exits (OtO)."""
    input:
        unpack(inputs("teachers")),
    output:
        **run_files("teachers", "history.csv"),
    log:
        log_file("teachers"),
    wildcard_constraints:
        name=PARTS,
    threads: threads_of("teachers")
    resources:
        **job("teachers"),
    params:
        **run_params("teachers", "train.py"),
    message:
        "Part of teacher {wildcards.name}, seed {wildcards.seed}"


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
    """Target: teachers, assistants, what is trained on them, and pretrained backbones."""
    input:
        records("teachers", "pretraining"),
