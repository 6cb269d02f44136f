"""The one kind of error that a user can mend; scripts print it without a traceback."""


class UserError(Exception):
    """What is wrong, where (key, file or value), and the mend, in one message."""


def check_range(option: str, value: float, least: float, most: float) -> None:
    """That an option of a method or recipe lies in its range.

    Raises:
        UserError: it does not.
    """
    if not least <= value <= most:
        raise UserError(f"{option}: {value:g} is out of range; give {least:g} to {most:g}")
