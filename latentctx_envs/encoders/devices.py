"""Where an encoder computes."""

import torch


def check_device(name: str) -> None:
    """Refuse a device that this machine, or this build of PyTorch, does not have.

    Raises:
        ValueError: it cannot be used here.
    """
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # of an unknown name, no driver, or a build without it
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(f"device={name!r} cannot be used here: {reason}. 'cpu' always can.") from None
