"""What `snakemake` finds here: the workflow, which stands where Snakemake's catalog looks for it."""


include: "workflow/Snakefile"
