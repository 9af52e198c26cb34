"""Times as services and their tools write them -> milliseconds since the epoch."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_timestamp(time: str | float | None) -> int | None:
    """Milliseconds since the epoch, UTC, of ISO 8601 or epoch seconds; None for anything else.

    A time without a zone is UTC, as the services write it.

    >>> parse_timestamp("2019-11-21T07:30:23.910943")
    1574321423910
    >>> parse_timestamp(1574321423.91)
    1574321423910
    """
    try:
        if isinstance(time, str):
            moment = datetime.fromisoformat(time)
        elif time is not None:
            moment = _EPOCH + timedelta(milliseconds=round(time * 1000))
        else:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
