"""Numbers as policies and decisions say them."""

from mlrek.text import say_number

CONFIDENCE_DIGITS = 6
_ALL_DIGITS = 17


def say_percent(confidence: float) -> str:
    """A confidence as people write it.

    >>> say_percent(0.95), say_percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{100 * confidence:.{CONFIDENCE_DIGITS}g} %"


def say_apart(value: float, limit: float) -> tuple[str, str]:
    """A number and its limit with as many digits as tell them apart.

    >>> say_apart(0.51, 0.5), say_apart(0.90004, 0.9)
    (('0.51', '0.5'), ('0.90004', '0.9'))
    """
    texts = say_number(value), say_number(limit)
    digits = CONFIDENCE_DIGITS
    while value != limit and texts[0] == texts[1] and digits <= _ALL_DIGITS:
        digits += 1
        texts = f"{value:.{digits - 1}g}", f"{limit:.{digits - 1}g}"
    return texts


def say_change(value: float) -> str:
    """A difference with its sign.

    >>> say_change(0.005), say_change(-0.02), say_change(0.0)
    ('+0.005', '-0.02', '0')
    """
    if not value:
        return "0"
    return f"{'+' if value > 0 else '-'}{say_number(abs(value))}"


def count_family(n: int, slices: int) -> str:
    """What is checked together, by what it is of.

    >>> count_family(3, 0), count_family(3, 3), count_family(6, 2)
    ('3 labels', '3 slices', '6 labels in slices')
    """
    noun = "labels" if not slices else "slices" if slices == n else "labels in slices"
    return f"{n:,} {noun}"
