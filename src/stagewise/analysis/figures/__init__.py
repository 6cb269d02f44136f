"""The figures, one file each (``POSITION``, ``CAPTION`` and ``draw(results)``); what they share has
no ``POSITION``. Snakemake reads captions when it starts: nothing is imported here."""
