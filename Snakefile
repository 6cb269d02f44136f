"""What `snakemake` finds here: the workflow, which stands where Snakemake's catalog looks for it."""


include: "workflow/Snakefile"


# A Snakefile that is included leaves the default target of the one that includes it alone.
workflow.default_target = "all"
