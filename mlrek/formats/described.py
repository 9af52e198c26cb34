"""A number that a service gives twice: in its description, and in the file of its results."""

from collections.abc import Iterator, Mapping

_TOLERANCE = 1e-6  # the descriptions have single precision


def check_described(
    described: Mapping[str, float], published: Mapping[str, float], *, what: str, file: str
) -> Iterator[str]:
    """Yield a warning for each number in which the description of `what` and the `file` differ."""
    for name, value in described.items():
        if abs(value - published.get(name, value)) > _TOLERANCE:
            yield (
                f"the service's description of the {what} says {name} {value:.9g}, its {file} "
                f"{published[name]:.9g}; the {file} counts"
            )
