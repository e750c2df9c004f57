"""What several commands do before they begin."""


def check_count(name: str, count: int) -> None:
    """Refuse to measure nothing.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"{name} must be at least 1; got {count}.")


def one_thread() -> None:
    """Let PyTorch compute with one thread: small networks, those in a loop over time above all, only wait for a second one."""
    import torch

    torch.set_num_threads(1)
