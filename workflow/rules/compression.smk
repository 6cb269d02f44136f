rule prune:
    """Prune a student to a given factor fewer MACs."""
    input:
        unpack(inputs("pruning")),
    output:
        **run_files("pruning", "pruning.json"),
    log:
        log_file("pruning"),
    resources:
        mem_mb=2000,
    params:
        **run_params("pruning", "prune.py"),
    message:
        "Pruning {wildcards.name}, seed {wildcards.seed}"
    shell:
        f"python {SCRIPTS}/prune.py"
        " {params.arguments} --data {input.data} > {log} 2>&1"


use rule train_teacher as recover with:
    """Train a pruned student again, or the dense one for as long."""
    input:
        unpack(inputs("recovery")),
    output:
        **run_files("recovery", "history.csv"),
    log:
        log_file("recovery"),
    wildcard_constraints:
        name=rf"(?!(?:{PROBED_RECOVERIES})/)[^/]+",
    threads: threads_of("recovery")
    resources:
        **job("recovery"),
    params:
        **run_params("recovery", "train.py"),
    message:
        "Recovery {wildcards.name}, seed {wildcards.seed}"


if PROBED_RECOVERIES:

    use rule recover as recover_probed with:
        """Train a pruned student again; log gradient shock."""
        output:
            **run_files("recovery", "history.csv", "shock.csv"),
        wildcard_constraints:
            name=rf"(?:{PROBED_RECOVERIES})",


rule pruning:
    """Target: pruned students without recovery."""
    input:
        records("pruning"),


rule recovery:
    """Target: pruned students after recovery."""
    input:
        records("recovery"),
