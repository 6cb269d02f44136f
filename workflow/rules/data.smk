rule download:
    """Fetch the data source, or read it from its package, and check its content."""
    output:
        f"data/raw/{SETTINGS['data']['source']}.safetensors",
    log:
        f"logs/raw/{SETTINGS['data']['source']}.log",
    params:
        source=SETTINGS["data"]["source"],
        options=canonical_json(SETTINGS["data"]["options"]),
        code=code("download.py", f"stagewise.data.sources.{SETTINGS['data']['source']}"),
    message:
        "Data: {params.source}"
    shell:
        f"python {SCRIPTS}/download.py"
        " --source {params.source} --options {params.options:q}"
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
    params:
        settings=canonical_json(SETTINGS["data"]),
        code=code("prepare.py"),
    message:
        "Data: splits"
    shell:
        f"python {SCRIPTS}/prepare.py"
        " --raw {input} --settings {params.settings:q}"
        " --out {output.data} --summary {output.summary} > {log} 2>&1"


rule data:
    """Target: the data, downloaded and split."""
    input:
        rules.prepare.output,
