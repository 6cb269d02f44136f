"""Names and reasons from elsewhere (files, servers, libraries) as text that one line can show."""

LONGEST = 200


def shown(text: object) -> str:
    """``text`` with line breaks, control characters and stray bytes escaped, shortened if long."""
    whole = str(text)
    safe = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in whole[:LONGEST]
    )
    return safe if len(whole) <= LONGEST else f"{safe} …"


def listed(names: list[str], most: int = 20) -> str:
    """The first ``most`` names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def are_names(values: list[object]) -> bool:
    """Whether these are texts that any file and table can hold."""
    return all(isinstance(value, str) and value and value.isprintable() for value in values)
