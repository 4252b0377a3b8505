"""Where tensors live."""

import torch


def best_device() -> torch.device:
    """The fastest device that this machine offers: CUDA, then Apple's MPS (no float64), then CPU.

    The library never calls this: its functions compute where their inputs are. It is for the
    notebook that loads the data: `images, labels = digits(best_device())`.
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
