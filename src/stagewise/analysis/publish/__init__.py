"""What is committed of results: README's section, the gallery, the folders in ``evidence/``."""
