"""What commands refuse before they begin."""


def check_count(name: str, count: int) -> None:
    """Refuse to measure nothing.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"{name} must be at least 1; got {count}.")
