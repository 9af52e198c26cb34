"""Times as services and their tools write them -> milliseconds since the epoch."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def parse_timestamp(time: str | float | None) -> int | None:
    """Milliseconds since the epoch, UTC, of ISO 8601 or epoch seconds; None for anything else.

    A time without a zone is UTC, as the services write it. One before the epoch, which MLflow
    refuses, or past the year 9999, which no calendar here shows, is none.

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
        since = (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
    return since if 0 <= since <= _END_MS else None
