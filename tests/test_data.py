"""The data sets: what they hold, where their files are looked for, and what a bad file gets."""

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sklearn.datasets
import torch

from gradus import data
from gradus.data import digits, fashion_mnist, mnist

IMAGES = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2, 2, 3))
PIXELS = bytes([0, 51, 102, 153, 204, 255] * 2)
LABELS = bytes([0, 0, 8, 1]) + (2).to_bytes(4, "big")


def write(
    folder: Path, images: bytes, labels: bytes = LABELS + b"\x07\x09", prefix: str = "t10k-"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (folder / f"{prefix}labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that GRADUS_DATA names."""
    monkeypatch.setenv("GRADUS_DATA", str(tmp_path))
    return tmp_path


# What the sets hold


def test_digits_are_scikit_learns_scaled_to_one() -> None:
    images, labels = digits()
    bunch = sklearn.datasets.load_digits()
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert images.shape == (len(bunch.images), 1, 8, 8)
    assert (images.min().item(), images.max().item()) == (0, 1)
    assert (images[:, 0] * 16).tolist() == bunch.images.tolist()
    assert labels.tolist() == bunch.target.tolist()


def test_pixels_become_floats_between_zero_and_one_and_labels_integers(folder: Path) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    images, labels = mnist()
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    expected = torch.tensor([[[[0, 0.2, 0.4], [0.6, 0.8, 1]]]] * 2)
    torch.testing.assert_close(images, expected)
    assert labels.tolist() == [7, 9]


def test_the_sets_come_on_the_device_that_was_asked_for(folder: Path) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    for images, labels in (digits(device="meta"), mnist(device="meta")):
        assert (images.device.type, labels.device.type) == ("meta", "meta")
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_sets_on_a_gpu_equal_those_on_the_cpu(folder: Path) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    for load in (digits, mnist):
        for there, here in zip(load(device="cuda"), load(), strict=True):
            assert there.device.type == "cuda"
            torch.testing.assert_close(there.cpu(), here)


def test_the_real_mnist_has_its_published_class_counts(real_data: Path) -> None:
    if not (real_data / "mnist").is_dir():
        pytest.skip("GRADUS_DATA holds no mnist")
    images, labels = mnist()
    assert images.shape == (10000, 1, 28, 28)
    assert (images.min().item(), images.max().item()) == (0, 1)
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert labels.bincount().tolist() == counts


def test_the_real_fashion_mnist_is_balanced(real_data: Path) -> None:
    if not any(real_data.glob("fashion-mnist*")):
        pytest.skip("GRADUS_DATA holds no fashion-mnist")
    images, labels = fashion_mnist()
    assert images.shape == (len(labels), 1, 28, 28)
    counts = labels.bincount()
    assert len(counts) == 10
    assert (counts == len(labels) // 10).all()


# Where the files are looked for


def test_train_and_test_come_from_their_own_files(folder: Path) -> None:
    write(folder / "mnist", IMAGES + PIXELS, LABELS + b"\x00\x01", prefix="t10k-")
    write(folder / "mnist", IMAGES + PIXELS, LABELS + b"\x02\x03", prefix="train-")
    write(folder / "fashion-mnist", IMAGES + PIXELS, LABELS + b"\x04\x05", prefix="t10k-")
    assert mnist()[1].tolist() == [0, 1]
    assert mnist(train=True)[1].tolist() == [2, 3]
    assert fashion_mnist()[1].tolist() == [4, 5]


def test_a_subset_stands_in_for_the_test_set_but_never_for_the_training_set(folder: Path) -> None:
    write(folder / "fashion-mnist-2", IMAGES + PIXELS, prefix="")
    assert fashion_mnist()[1].tolist() == [7, 9]
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz"):
        fashion_mnist(train=True)
    with pytest.raises(FileNotFoundError, match="mnist/t10k-images"):
        mnist()


def test_the_published_test_set_comes_before_a_subset(folder: Path) -> None:
    write(folder / "mnist-2", IMAGES + PIXELS, LABELS + b"\x00\x01", prefix="")
    write(folder / "mnist", IMAGES + PIXELS, LABELS + b"\x02\x03")
    assert mnist()[1].tolist() == [2, 3]


def test_the_folders_name_may_start_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GRADUS_DATA", "~/data")
    write(tmp_path / "data" / "mnist", IMAGES + PIXELS)
    assert mnist()[1].tolist() == [7, 9]


# Bad files


@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_a_missing_file_is_named_and_so_is_gradus_data(folder: Path, load: object) -> None:
    assert callable(load)
    with pytest.raises(FileNotFoundError) as caught:
        load()
    assert str(folder) in str(caught.value)
    assert "t10k-images-idx3-ubyte.gz" in str(caught.value)
    assert "GRADUS_DATA" in str(caught.value)


def test_missing_labels_are_named(folder: Path) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    (folder / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"t10k-labels-idx1-ubyte\.gz is missing"):
        mnist()


def test_a_folder_in_a_files_place_is_a_missing_file(folder: Path) -> None:
    (folder / "mnist" / "t10k-images-idx3-ubyte.gz").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="is missing"):
        mnist()


@pytest.mark.parametrize("kept", range(len(gzip.compress(IMAGES + PIXELS))))
def test_a_gzip_file_cut_anywhere_is_a_value_error_that_names_it(folder: Path, kept: int) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    path = folder / "mnist" / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz"):
        mnist()


@pytest.mark.parametrize("at", range(10, len(gzip.compress(IMAGES + PIXELS))))
def test_a_flipped_byte_in_the_packed_data_is_noticed(folder: Path, at: int) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    path = folder / "mnist" / "t10k-images-idx3-ubyte.gz"
    packed = bytearray(path.read_bytes())
    packed[at] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz"):
        mnist()


def test_a_file_that_is_no_gzip_is_a_value_error(folder: Path) -> None:
    write(folder / "mnist", IMAGES + PIXELS)
    (folder / "mnist" / "t10k-images-idx3-ubyte.gz").write_text("<html>404 Not Found</html>")
    with pytest.raises(ValueError, match=r"truncated or damaged.*fresh copy"):
        mnist()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (b"", r"starts with the bytes \(none\)"),
        (LABELS + b"\x07\x09", "starts with the bytes 00 00 08 01"),
        (bytes([0, 0, 13, 3]) + IMAGES[4:] + PIXELS, "00 00 0d 03"),  # floats, not bytes
        (bytes([1, 0, 8, 3]) + IMAGES[4:] + PIXELS, "01 00 08 03"),
        (IMAGES[:4], "unpacks to 4 bytes"),
        (IMAGES[:10], "unpacks to 10 bytes"),
        (IMAGES + PIXELS[:-1], r"27 bytes.*\[2, 2, 3\].*28 bytes"),
        (IMAGES + PIXELS + b"\x00", "29 bytes"),
        (IMAGES[:4] + b"\xff" * 12 + PIXELS, "announces"),
    ],
)
def test_wrong_contents_are_a_value_error_that_says_what_is_wrong(
    folder: Path, images: bytes, said: str
) -> None:
    write(folder / "mnist", images)
    with pytest.raises(ValueError, match=said) as caught:
        mnist()
    assert "t10k-images-idx3-ubyte.gz" in str(caught.value)
    assert "Replace it by" in str(caught.value)


def test_images_and_labels_of_different_number_are_a_value_error(folder: Path) -> None:
    three = LABELS[:4] + (3).to_bytes(4, "big") + b"\x01\x02\x03"
    write(folder / "mnist", IMAGES + PIXELS, three)
    with pytest.raises(ValueError, match=r"2 images.*3 labels"):
        mnist()


# Downloads

LOGIN_PAGE = b"Please log in to use this network."


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A network without HTTPS that serves these files, else a login page; and an empty cache."""
    files: dict[str, bytes] = {}

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(files.get(self.path.rpartition("/")[2], LOGIN_PAGE))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    for name in list(os.environ):
        if name.lower() in {"gradus_data", "no_proxy", "http_proxy", "https_proxy", "all_proxy"}:
            monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    yield files
    server.shutdown()
    server.server_close()
    thread.join()


def cached_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_download_with_the_wrong_checksum_is_refused_and_not_kept(
    web: dict[str, bytes], tmp_path: Path
) -> None:
    web["t10k-images-idx3-ubyte.gz"] = gzip.compress(IMAGES + PIXELS)
    with pytest.raises(FileNotFoundError, match="MD5 hash of downloaded file") as caught:
        fashion_mnist()
    assert "GRADUS_DATA" in str(caught.value)
    assert "digits()" in str(caught.value)
    assert cached_files(tmp_path) == []


@pytest.mark.parametrize("train", [False, True])
def test_without_a_connection_the_error_names_every_mirror_and_gradus_data(
    web: dict[str, bytes], train: bool
) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        mnist(train)
    message = str(caught.value)
    assert "GRADUS_DATA" in message
    assert message.count("https://") == 2
    assert ("train" if train else "t10k") + "-images-idx3-ubyte.gz" in message


def test_files_with_the_right_checksums_are_downloaded_once_and_kept(
    web: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web["t10k-images-idx3-ubyte.gz"] = gzip.compress(IMAGES + PIXELS)
    web["t10k-labels-idx1-ubyte.gz"] = gzip.compress(LABELS + b"\x07\x09")
    for file, content in web.items():
        monkeypatch.setitem(data._MD5["fashion-mnist"], file, hashlib.md5(content).hexdigest())
    assert fashion_mnist()[1].tolist() == [7, 9]
    assert cached_files(tmp_path) == sorted(web)
    web.clear()
    assert fashion_mnist()[1].tolist() == [7, 9]

    # What has spoiled in the cache is not used.
    spoiled = next(tmp_path.rglob("t10k-images-idx3-ubyte.gz"))
    spoiled.write_bytes(b"spoiled")
    with pytest.raises(FileNotFoundError, match="could not be downloaded"):
        fashion_mnist()
