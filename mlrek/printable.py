"""Text of untrusted names as anything that shows text may be given it."""


def escape_unprintable(text: str) -> str:
    r"""Text on one line in which each character can be seen; others stand as Python escapes them.

    >>> print(escape_unprintable("a\tb\nc"))
    a\tb\nc
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_unencodable(text: str) -> str:
    r"""Text that UTF-8 can hold: half a character, as in a file's name in Latin-1, is escaped.

    >>> print(escape_unencodable("gr\udcf6sse"))
    gr\udcf6sse
    """
    return text.encode("utf-8", "backslashreplace").decode()


def escape_markdown(text: str) -> str:
    r"""Text as plain text in a markdown table or list, on one line.

    >>> print(escape_markdown("a|b\n<i>"))
    a\|b \<i\>
    """
    return text.replace("\n", " ").translate({ord(c): f"\\{c}" for c in "\\`*_{}[]<>|#"})
