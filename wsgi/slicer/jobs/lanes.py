"""Two lanes, each with processes of its own: what is short never waits behind what is long."""

SHORT, LONG = "short", "long"
LANES = (SHORT, LONG)


def lane_of(work_seconds: float, short_seconds: float) -> str:
    """The lane of work that takes about `work_seconds`, where up to `short_seconds` are short."""
    return SHORT if work_seconds <= short_seconds else LONG
