# What a target asks for, searched on this machine's clock; the parts of the study that it depends on.
# No parameter, as in results.smk: Snakemake would print all of it where a key changes.
SEARCHING = canonical_json(
    {
        key: value
        for key, value in PLAIN.items()
        if key in ("study", "data", "pairs", "recovery", "seeds", "evaluation")
    }
    | {
        "target": {
            key: value
            for key, value in PLAIN.get("target", {}).items()
            if key != "candidates"
        }
    }
)

os.environ.update(STAGEWISE_SEARCH=SEARCHING)


rule search_target:
    """Find which networks could reach the target: shapes and clocks, no training."""
    input:
        data=f"data/{STUDY}/summary.json",
    output:
        table=results("search.csv"),
        found=results("search.yaml"),
    log:
        f"logs/{STUDY}/search.log",
    threads: workflow.cores
    params:
        settings=sha256_text(SEARCHING)[:12],
        code=code("search.py"),
    message:
        "Search for networks that reach the target"
    shell:
        f"python {SCRIPTS}/search.py"
        ' --settings "$STAGEWISE_SEARCH" --data {input.data}'
        " --out {output.table} --found {output.found} > {log} 2>&1"


rule measure_candidates:
    """The candidates as the files that would ship: accuracy, size, speed; alone on the machine."""
    input:
        plan=rules.plan.output,
        after=rules.measure_latency.output,
        data=f"data/{STUDY}/prepared.safetensors",
        models=records("recovery", "teachers"),
    output:
        report(
            results("candidates.csv"),
            caption="../report/candidates.rst",
            category="Tables",
            labels={"table": "candidates for the target, as files"},
        ),
    log:
        f"logs/{STUDY}/candidates.log",
    threads: workflow.cores
    params:
        code=code("candidates.py"),
    message:
        "Candidates as files"
    shell:
        f"python {SCRIPTS}/candidates.py"
        " --plan {input.plan} --data {input.data} --out {output} > {log} 2>&1"


rule ship:
    """The files of the network that was chosen, with its verdict."""
    input:
        plan=rules.plan.output,
        summary=rules.summarise.output.summary,
        candidates=rules.measure_candidates.output,
        data=f"data/{STUDY}/prepared.safetensors",
    output:
        results("ship/ship.json"),
        expand(
            results("ship/{name}"),
            name=[
                *("model.onnx", "model.int8.onnx", "model.pt2"),
                *("predict.py", "README.md"),
            ],
        ),
    log:
        f"logs/{STUDY}/ship.log",
    threads: workflow.cores
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        code=code("shipment.py"),
    message:
        "Files that ship"
    shell:
        f"python {SCRIPTS}/shipment.py"
        " --plan {input.plan} --summary {input.summary} --candidates {input.candidates}"
        " --data {input.data} --out {params.folder} > {log} 2>&1"
