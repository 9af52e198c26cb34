"""Numbers as policies and decisions say them."""

CONFIDENCE_DIGITS = 6
_TINY = 0.0005
_ALL_DIGITS = 17


def say_percent(confidence: float) -> str:
    """A confidence as people write it.

    >>> say_percent(0.95), say_percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{100 * confidence:.{CONFIDENCE_DIGITS}g} %"


def say_number(value: float) -> str:
    """A number with four decimals, and no zeros at its end; a tiny one with two digits.

    >>> say_number(0.9), say_number(0.93871), say_number(1234.5), say_number(0.00002)
    ('0.9', '0.9387', '1,234.5', '2e-05')
    """
    if value and abs(value) < _TINY:
        return f"{value:.2g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".")


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


def round_up(n: int) -> int:
    """A number of images with two digits: an estimate knows no more.

    >>> round_up(1841), round_up(94)
    (1900, 94)
    """
    unit: int = 10 ** max(len(str(n)) - 2, 0)
    return -(-n // unit) * unit


def say_range(fewest: int, most: int) -> str:
    """From how many images to how many, rounded up to two digits.

    >>> say_range(3613, 8241), say_range(301, 301)
    ('3,700 to 8,300', 'about 310')
    """
    low, high = (f"{round_up(n):,}" for n in (fewest, most))
    return f"{low} to {high}" if low != high else f"about {high}"
