rule download:
    """Fetch the data source, or read it from its package or folder, and check its content."""
    output:
        RAW,
    log:
        f"logs/raw/{Path(RAW).stem}.log",
    threads: 4
    resources:
        # No parameter: another mirror makes no other data.
        options=canonical_json(SOURCE_OPTIONS),
        mem_mb=4000,
    params:
        source=SOURCE,
        listing=listing,
        code=code("download.py", f"stagewise.data.sources.{SOURCE}"),
    message:
        "Data: {params.source}"
    shell:
        f"python {SCRIPTS}/download.py"
        " --source {params.source} --options {resources.options:q}"
        " --out {output} > {log} 2>&1"


rule prepare:
    """Split into train, validation and test images; choose the few that students see."""
    input:
        rules.download.output,
    output:
        data=f"data/{STUDY}/prepared.safetensors",
        summary=f"data/{STUDY}/summary.json",
    log:
        f"logs/{STUDY}/prepare.log",
    resources:
        mem_mb=4000,
    params:
        settings=canonical_json(prepare_settings(SETTINGS)),
        code=code("prepare.py"),
    message:
        "Data: splits"
    shell:
        f"python {SCRIPTS}/prepare.py"
        " --raw {input} --settings {params.settings:q}"
        " --out {output.data} --summary {output.summary} > {log} 2>&1"


rule given_teacher:
    """Turn the user's own weights of a teacher into ours, checked."""
    input:
        data=f"data/{STUDY}/prepared.safetensors",
        weights=own_file,
    output:
        f"data/{STUDY}/teachers/{{pair}}/model.safetensors",
    log:
        f"logs/{STUDY}/given/{{pair}}.log",
    wildcard_constraints:
        pair="|".join(map(re.escape, SETTINGS.pairs)),
    resources:
        mem_mb=4000,
    params:
        teacher=lambda wildcards: canonical_json(
            asdict(GIVEN[given_folder(STUDY, wildcards.pair)])
        ),
        code=code("given.py"),
    message:
        "Own weights of the teacher of {wildcards.pair}"
    shell:
        f"python {SCRIPTS}/given.py"
        " --teacher {params.teacher:q} --data {input.data} --out {output} > {log} 2>&1"


rule imagenet_weights:
    """Fetch torchvision's ImageNet weights; make them a start for runs (regime imagenet)."""
    output:
        "data/weights/{network}-{size}px/model.safetensors",
    log:
        "logs/weights/{network}-{size}px.log",
    wildcard_constraints:
        network="[a-z0-9-]+",
        size="[0-9]+",
    resources:
        # No parameter: another mirror makes no other weights.
        mirrors=shlex.join(SETTINGS.two_stage.mirrors),
        mem_mb=4000,
    params:
        code=code("weights.py"),
    message:
        "ImageNet weights: {wildcards.network}"
    shell:
        f"python {SCRIPTS}/weights.py"
        " --network {wildcards.network} --image-size {wildcards.size}"
        " --mirrors {resources.mirrors} --out {output} > {log} 2>&1"


rule data:
    """Target: the data, downloaded and split; ImageNet weights where runs start from them."""
    input:
        rules.prepare.output,
        [f"{folder}/model.safetensors" for folder in PLAN.weights()],
