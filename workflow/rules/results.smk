FIGURES = list(catalogue.figures())
TEMPLATES = sorted(map(str, Path(packaged("analysis/report/templates")).iterdir()))
TABLES = list(catalogue.tables())
# Tables are found by their files, so no import of a script names them.
TABLE_MODULES = [catalogue.module_name(path) for path in catalogue.tables().values()]
# Not a parameter itself: Snakemake would print all of it, twice, where a key changes.
PLANNED = canonical_json(
    {k: v for k, v in PLAIN.items() if k not in ("figures", "table", "claims")}
)
os.environ.update(STAGEWISE_SETTINGS=PLANNED)


rule plan:
    """Write down the study's runs: what results are made from, beside the records."""
    output:
        results("plan.json"),
    log:
        f"logs/{STUDY}/plan.log",
    localrule: True
    params:
        settings=sha256_text(PLANNED)[:12],
        runs=sha256_text(canonical_json(PLAN.rows()))[:12],
        code=code("plan.py"),
    message:
        "Plan of {STUDY}"
    shell:
        f"python {SCRIPTS}/plan.py"
        ' --settings "$STAGEWISE_SETTINGS" --out {output} > {log} 2>&1'


rule evaluate:
    """Measure every run on validation and test images, from the logits that it left."""
    input:
        plan=rules.plan.output,
        runs=records(*STEPS),
    output:
        results("evaluation.csv"),
    log:
        f"logs/{STUDY}/evaluate.log",
    localrule: True
    params:
        code=code("evaluate.py"),
    message:
        "Evaluation of all runs"
    shell:
        f"python {SCRIPTS}/evaluate.py"
        " --plan {input.plan} --out {output} > {log} 2>&1"


rule measure_latency:
    """Time one network of every shape: alone on the machine, after everything else."""
    input:
        plan=rules.plan.output,
        after=rules.evaluate.output,
        models=first_models,
    output:
        report(
            results("latency.csv"),
            caption="../report/latency.rst",
            category="Tables",
            labels={"table": "latency of every arm, measured"},
        ),
    log:
        f"logs/{STUDY}/latency.log",
    threads: workflow.cores
    params:
        code=code("latency.py"),
    message:
        "Latency of every arm"
    shell:
        f"python {SCRIPTS}/latency.py"
        " --plan {input.plan} --threads {threads} --out {output}"
        f" --kept work/latency/{STUDY}.csv > {{log}} 2>&1"


rule compare_maps:
    """Compare where students and their teachers look: Grad-CAM of some test images, from weights."""
    input:
        plan=rules.plan.output,
        data=f"data/{STUDY}/prepared.safetensors",
        models=compared_models,
    output:
        table=report(
            results("gradcam.csv"),
            caption="../report/gradcam.rst",
            category="Tables",
            labels={"table": "Grad-CAM maps of students and teachers, compared"},
        ),
        pictures=results("gradcam.npz"),
    log:
        f"logs/{STUDY}/gradcam.log",
    threads: threads_of("multi_exit")
    resources:
        gpu=GPUS,
        device=DEVICE,
    params:
        code=code("gradcam.py"),
    message:
        "Grad-CAM maps of students and teachers"
    shell:
        f"python {SCRIPTS}/gradcam.py"
        " --plan {input.plan} --data {input.data} --threads {threads}"
        " --device {resources.device} --out {output.table} > {log} 2>&1"


MAPS = rules.compare_maps.output.table if COMPARED else []
WITH_MAPS = f"--gradcam {MAPS}" if MAPS else ""


rule summarise:
    """One row for each run and exit: settings, checksums, metrics, costs."""
    input:
        plan=rules.plan.output,
        evaluation=rules.evaluate.output,
    output:
        summary=report(
            results("summary.csv"),
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "every run and exit"},
        ),
        metrics=results("metrics.json"),
    log:
        f"logs/{STUDY}/summarise.log",
    localrule: True
    params:
        code=code("summarise.py"),
    message:
        "Summary of all runs"
    shell:
        f"python {SCRIPTS}/summarise.py"
        " --plan {input.plan} --evaluation {input.evaluation}"
        " --out {output.summary} --metrics {output.metrics} > {log} 2>&1"


rule make_tables:
    """The result tables, as CSV, Markdown and LaTeX; a guide to all results."""
    input:
        plan=rules.plan.output,
        summary=rules.summarise.output.summary,
        latency=rules.measure_latency.output,
        gradcam=MAPS,
        candidates=CANDIDATES,
        published=packaged("papers/published_values.csv"),
    output:
        *[
            report(
                results(f"tables/{table}.csv"),
                caption="../report/table.rst",
                category="Tables",
                labels={"table": table},
            )
            for table in TABLES
        ],
        expand(
            results("tables/{table}.{form}"),
            table=[*TABLES, "study"],
            form=["md", "tex"],
        ),
        guide=results("README.md"),
    log:
        f"logs/{STUDY}/tables.log",
    localrule: True
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        gradcam=WITH_MAPS,
        candidates=WITH_CANDIDATES,
        code=code("tables.py", *TABLE_MODULES),
    message:
        "Tables"
    shell:
        f"python {SCRIPTS}/tables.py"
        " --plan {input.plan} --summary {input.summary}"
        " --latency {input.latency} {params.gradcam} {params.candidates}"
        " --out {params.folder} --guide {output.guide} > {log} 2>&1"


rule draw:
    """One figure, as SVG, PDF (for LaTeX) and PNG."""
    input:
        plan=rules.plan.output,
        summary=rules.summarise.output.summary,
        gradcam=lambda wildcards: MAPS if wildcards.figure == "gradcam" else [],
        style=packaged("analysis/figures/style.mplstyle"),
        looks=packaged("analysis/figures/looks.yaml"),
        data=figure_data,
    output:
        svg=report(
            results("figures/{figure}.svg"),
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "form": "SVG"},
        ),
        pdf=report(
            results("figures/{figure}.pdf"),
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}", "form": "PDF"},
        ),
        png=results("figures/{figure}.png"),
    log:
        f"logs/{STUDY}/figures/{{figure}}.log",
    wildcard_constraints:
        figure="|".join(FIGURES),
    localrule: True
    params:
        folder=lambda wildcards, output: str(Path(output.svg).parent),
        dpi=SETTINGS.figures.dpi,
        gradcam=lambda wildcards: WITH_MAPS if wildcards.figure == "gradcam" else "",
        form=SETTINGS.figures.format,
        data=figure_options,
        caption=lambda wildcards: caption(wildcards.figure, PLAIN),
        code=lambda wildcards: code(
            "figures.py", f"stagewise.analysis.figures.{wildcards.figure}"
        ),
    message:
        "Figure {wildcards.figure}"
    shell:
        f"python {SCRIPTS}/figures.py"
        " --plan {input.plan} --summary {input.summary}"
        " {params.data} {params.gradcam} --dpi {params.dpi} --format {params.form}"
        " --name {wildcards.figure} --out {params.folder} > {log} 2>&1"


rule judge:
    """The verdict on each published claim."""
    input:
        plan=rules.plan.output,
        summary=rules.summarise.output.summary,
        claims=packaged("papers/claims.yaml"),
    output:
        report(
            results("claims.csv"),
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "verdicts"},
        ),
    log:
        f"logs/{STUDY}/claims.log",
    localrule: True
    params:
        own=own_claims,
        code=code("claims.py"),
    message:
        "Verdicts"
    shell:
        f"python {SCRIPTS}/claims.py"
        " --plan {input.plan} --summary {input.summary} {params.own} --out {output}"
        " > {log} 2>&1"


rule write_report:
    """The page that shows everything."""
    input:
        plan=rules.plan.output,
        summary=rules.summarise.output.summary,
        claims=rules.judge.output,
        latency=rules.measure_latency.output,
        gradcam=MAPS,
        candidates=CANDIDATES,
        tables=rules.make_tables.output,
        figures=expand(results("figures/{figure}.svg"), figure=FIGURES),
        page=packaged("analysis/report/report.yaml"),
        templates=TEMPLATES,
    output:
        report(
            results("report.html"),
            caption="../report/report.rst",
            category="Report",
            labels={"page": "report"},
        ),
    log:
        f"logs/{STUDY}/report.log",
    localrule: True
    params:
        figures=lambda wildcards, input: str(Path(input.figures[0]).parent),
        captions=[caption(name, PLAIN) for name in FIGURES],
        gradcam=WITH_MAPS,
        candidates=WITH_CANDIDATES,
        own=own_claims,
        code=code("report.py", *TABLE_MODULES),
    message:
        "Report"
    shell:
        f"python {SCRIPTS}/report.py"
        " --plan {input.plan} --summary {input.summary}"
        " --claims {input.claims} --figures {params.figures} --latency {input.latency}"
        " {params.own} {params.gradcam} {params.candidates} --out {output} > {log} 2>&1"


rule compare_studies:
    """Is this study's accuracy that of the same study computed otherwise?"""
    input:
        first=other_summary,
        second=rules.summarise.output.summary,
    output:
        table=report(
            results("equivalence.csv"),
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "equivalence"},
        ),
        text=results("equivalence.md"),
    log:
        f"logs/{STUDY}/equivalence.log",
    localrule: True
    params:
        margin=SETTINGS.equivalence and SETTINGS.equivalence.margin,
        code=code("equivalence.py"),
    message:
        "Equivalence"
    shell:
        f"python {SCRIPTS}/equivalence.py"
        " --first {input.first} --second {input.second} --margin {params.margin}"
        " --out {output.table} > {log} 2>&1"


rule choose_rates:
    """Of a tuning study: the learning rate of each arm that does best on validation."""
    input:
        plan=rules.plan.output,
        evaluation=rules.evaluate.output,
    output:
        choice=report(
            results("choice.csv"),
            caption="../report/choice.rst",
            category="Tables",
            labels={"table": "choice of learning rates"},
        ),
        rates=results("learning_rates.yaml"),
        wider=results("wider.yaml"),
    log:
        f"logs/{STUDY}/choose_rates.log",
    localrule: True
    params:
        code=code("tune_choice.py"),
    message:
        "Choice of learning rates"
    shell:
        f"python {SCRIPTS}/tune_choice.py"
        " --plan {input.plan} --evaluation {input.evaluation}"
        " --out {output.choice} --rates {output.rates} --wider {output.wider} > {log} 2>&1"


rule tables:
    """Target: the result tables."""
    input:
        rules.make_tables.output,


rule figures:
    """Target: the figures."""
    input:
        expand(
            results("figures/{figure}.{form}"),
            figure=FIGURES,
            form=["svg", "pdf", "png"],
        ),


rule claims:
    """Target: the verdicts."""
    input:
        rules.judge.output,


rule report:
    """Target: the report."""
    input:
        rules.write_report.output,
