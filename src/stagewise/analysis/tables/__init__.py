"""The result tables, one file each (``POSITION`` and ``make(results)``); what they share and the
forms in which they are written have no ``POSITION``."""
