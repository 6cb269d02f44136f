"""Networks of other libraries, one library a file: they teach, as they are, by their logits.

A file has ``build``, whose keyword-only parameters are options as a network's are, and ``NAMES``
where the library has a fixed list; a network is called ``library:name``.
"""
