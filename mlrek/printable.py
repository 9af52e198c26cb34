"""Text of untrusted names as anything that shows text may be given it."""


def escape_unprintable(text: str) -> str:
    r"""Text on one line in which each character can be seen; others stand as Python escapes them.

    >>> print(escape_unprintable("a\tb\nc"))
    a\tb\nc
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
