"""Stagewise: from the download of the data to the verdict on each published claim."""

import gc

from snakemake.utils import min_version

min_version("9.22")


# Only without --configfile: Snakemake would merge the two, and leak this study into the other.
if "study" not in config:

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


container: "docker://python:3.11"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/teachers.smk"
include: "workflow/rules/students.smk"
include: "workflow/rules/distillation.smk"
include: "workflow/rules/compression.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/forecast.smk"


onstart:
    gc.enable()
    warm_up()


onsuccess:
    cool_down()


onerror:
    cool_down()


rule all:
    default_target: True
    input:
        final_files(),
