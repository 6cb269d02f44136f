"""The one kind of error that a user can mend; scripts print it without a traceback."""


class UserError(Exception):
    """What is wrong, where (key, file or value), and the mend, in one message."""
