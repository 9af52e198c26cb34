"""Words and estimates that the answers of several kinds of checks share."""

from math import isnan

from mlrek.metrics.power import images_to_decide
from mlrek.policy import Metric, Numbers
from mlrek.policy.numbers import suggest_metric

CONFIDENCE_DIGITS = 6
_TOO_MANY = 10**8
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


def say_missing(metric: Metric, numbers: Numbers) -> str:
    """That a version has no such number, and which was probably meant."""
    meant = suggest_metric(metric, numbers)
    hint = f"; did you mean {meant!r}?" if meant else "; its evaluation.json lists all it has"
    return f"the evaluation has no number {str(metric)!r}{hint}"


def estimate_images(
    n_images: int | None, distance: float, standard_error: float, confidence: float
) -> int | None:
    """Test images that would decide, with 80 % power, a number `distance` away from its limit."""
    if not n_images or isnan(distance) or isnan(standard_error):
        return None
    needed = images_to_decide(n_images, distance, standard_error, confidence=confidence)
    return None if needed is None or needed > _TOO_MANY else max(needed, n_images + 1)


def say_needed(needed: int | None, *, passes: bool) -> str:
    """The estimate in words, rounded up to two digits; '' where there is none.

    `passes` tells on which side of the limit the number lies now.

    >>> say_needed(1841, passes=True)
    '; about 1,900 test images would decide it, as passed if nothing else changed (estimate)'
    """
    if needed is None:
        return ""
    about, outcome = f"{round_up(needed):,}", "passed" if passes else "failed"
    return (
        f"; about {about} test images would decide it, as {outcome} if nothing else changed "
        "(estimate)"
    )


def round_up(n: int) -> int:
    """A number of images with two digits: an estimate knows no more.

    >>> round_up(1841), round_up(94)
    (1900, 94)
    """
    unit: int = 10 ** max(len(str(n)) - 2, 0)
    return -(-n // unit) * unit
