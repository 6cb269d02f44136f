"""Numbers as readers see them."""

from stagewise.papers.claims import UNITS


def number(value: float, digits: int = 2, signed: bool = True) -> str:
    """A number with a true minus sign, and a plus where ``signed``; no minus before zero."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    text = text.replace("-", "+" if signed else "") if float(text) == 0 else text
    return text.replace("-", "−")


def short(value: float, unit: str, signed: bool) -> str:
    """A number with its unit for a sentence: as many digits as a reader can use."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= (0.1 if signed else 1) else 2
    return number(value, digits, signed) + UNITS[unit].text


def is_signed(unit: str, control: str) -> bool:
    """Whether a row's numbers are differences, which carry a sign; levels and ratios do not."""
    return bool(control) and not UNITS[unit].log
