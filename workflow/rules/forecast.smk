rule forecast:
    """Target: what the study will take on this machine; trains nothing, needs no data."""
    log:
        f"logs/{STUDY}/forecast.log",
    localrule: True
    threads: workflow.cores
    params:
        settings=canonical_json(PLAIN),
        device=DEVICE,
    message:
        "Forecast of {STUDY}: about a minute of trials"
    shell:
        f"python {SCRIPTS}/forecast.py"
        " --settings {params.settings:q} --cores {threads} --device {params.device}"
        " 2>&1 | tee {log}"
