"""Real images: digits that come with scikit-learn, and MNIST and Fashion-MNIST from their files.

Each function gives the whole set as two tensors on one device: images float32 [n, 1, h, w] in
[0, 1] and labels int64 [n].

Where the files of MNIST and Fashion-MNIST come from:

- If the environment variable GRADUS_DATA names a folder, from there and nowhere else. A set's files
  lie in the subfolder `mnist` or `fashion-mnist` under their published names
  (`t10k-images-idx3-ubyte.gz` ...). Where the test set is not there, a smaller one may stand in for
  it: a subfolder that adds its size to the name, `fashion-mnist-900`, with `images-idx3-ubyte.gz`
  and `labels-idx1-ubyte.gz`.
- Otherwise from the web, once: the files are checked against their published checksums and kept in
  the user's cache folder.
"""

import gzip
import math
import os
import textwrap
import zlib
from pathlib import Path

import torch

_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}

# As published by torchvision (both sets) and by Fashion-MNIST's README.
_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}


def digits(device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """1797 handwritten digits of 8 × 8 pixels, which come with scikit-learn: nothing to download.

    Returns images float32 [1797, 1, 8, 8] in [0, 1] and labels int64 [1797], on `device`.
    Source: Alpaydin and Kaynak, Optical recognition of handwritten digits (UCI, 1998).
    """
    # Imported here because it takes a second, which only those who want the digits should wait.
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)  # 0 to 16, [n, 64]
    images = torch.from_numpy(pixels / 16).float().reshape(-1, 1, 8, 8)
    return images.to(device), torch.from_numpy(labels).long().to(device)


def mnist(
    train: bool = False, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """MNIST's handwritten digits of 28 × 28 pixels: 10000 for testing, 60000 with train=True.

    Returns images float32 [n, 1, 28, 28] in [0, 1] and labels int64 [n], on `device`. Raises
    FileNotFoundError where the files can't be had and ValueError where one is damaged.
    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
    recognition (1998).
    """
    return _load("mnist", train, device)


def fashion_mnist(
    train: bool = False, device: torch.device | str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fashion-MNIST's photos of clothes, 28 × 28 pixels: 10000 for testing, 60000 with train=True.

    The labels 0 to 9 are T-shirt/top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag
    and ankle boot. Returns images float32 [n, 1, 28, 28] in [0, 1] and labels int64 [n], on
    `device`. Raises FileNotFoundError where the files can't be had and ValueError where one is
    damaged.
    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST (arXiv:1708.07747).
    """
    return _load("fashion-mnist", train, device)


def _load(name: str, train: bool, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
    images_path, labels_path = _find(name, train)
    images = _read_idx(images_path, dimensions=3)
    labels = _read_idx(labels_path, dimensions=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} holds {len(images)} images, {labels_path} {len(labels)} labels: "
            "they don't belong together. Replace both by fresh copies."
        )
    # Bytes travel to the device and become floats there: a quarter of the transfer.
    return images.to(device).unsqueeze(1).float() / 255, labels.to(device).long()


def _find(name: str, train: bool) -> tuple[Path, Path]:
    """The files of images and labels, by the rule at the top of this module."""
    prefix = "train" if train else "t10k"
    published = f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"
    folder = os.environ.get("GRADUS_DATA")
    if not folder:
        return _download(name, published[0]), _download(name, published[1])
    root = Path(folder).expanduser()
    if (root / name / published[0]).exists():
        return root / name / published[0], root / name / published[1]
    # Only for testing: were it the training set too, a model would be tested on what it has seen.
    if not train:
        for images in sorted(root.glob(f"{name}-[0-9]*/images-idx3-ubyte.gz")):
            return images, images.with_name("labels-idx1-ubyte.gz")
    raise FileNotFoundError(
        f"{root / name / published[0]} is missing. GRADUS_DATA={folder} must hold {name}'s "
        "files; put them there, or unset GRADUS_DATA to download them."
    )


def _download(name: str, file: str) -> Path:
    """The file in the user's cache, downloaded if it isn't there with the right checksum."""
    import pooch  # here, so that those who have the files don't load an HTTP client

    cache = pooch.os_cache("gradus") / name
    failures = []
    for mirror in _MIRRORS[name]:
        try:
            return Path(pooch.retrieve(mirror + file, f"md5:{_MD5[name][file]}", file, cache))
        except (OSError, ValueError) as error:  # no connection or no space; a wrong checksum
            reason = textwrap.shorten(str(error), 120)
            failures.append(f"  {mirror}{file}\n    {type(error).__name__}: {reason}")
    raise FileNotFoundError(
        f"{name}'s {file} could not be downloaded:\n" + "\n".join(failures) + "\n"
        f"Without a connection, set GRADUS_DATA to a folder that holds {name}/{file}, "
        "or use gradus.data.digits(), which needs no download."
    )


def _read_idx(path: Path, dimensions: int) -> torch.Tensor:
    """A gzipped IDX file of unsigned bytes, as a uint8 tensor.

    The format: two zero bytes, 8 for "unsigned byte", the number of dimensions; the size of each as
    a big-endian 32-bit integer; then the bytes, the last index running fastest.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: put the published file there.")
    try:
        with gzip.open(path) as file:
            content = bytearray(file.read())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is truncated or damaged ({error}). Replace it by a fresh copy."
        ) from None
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise ValueError(
            f"{path} starts with the bytes {content[:4].hex(' ') or '(none)'}, an IDX file of "
            f"unsigned bytes in {dimensions} dimensions with {magic.hex(' ')}. Replace it by the "
            "right file."
        )
    start = 4 + 4 * dimensions
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    size = start + math.prod(shape)
    if len(content) != size:
        raise ValueError(
            f"{path} unpacks to {len(content)} bytes, but its header announces {shape}, "
            f"{size} bytes in all. Replace it by a fresh copy."
        )
    return torch.frombuffer(content, dtype=torch.uint8)[start:].reshape(shape)
