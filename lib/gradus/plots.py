"""Pictures for the notebooks: small functions that take numbers and return a matplotlib Figure.

Values are drawn in cividis, signed values in PuOr (white is zero), categories in colours of Okabe
and Ito's palette and in different shapes, so that nobody has to tell them apart by hue. Pictures
are tensors or anything else that numpy can read, [h, w] or with leading sizes of one, [1, 1, h, w].
"""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

ORANGE, BLUE, RED, GREY = "#E69F00", "#0072B2", "#D55E00", "#BBBBBB"
PADDING = "#E4E4E4"


@contextmanager
def when_finished() -> Iterator[None]:
    """Runs its block, and says which function to write first where one is not finished yet.

    Not finished means that it still raises the empty NotImplementedError of the notebook as it was
    handed out; every other error passes through.
    """
    try:
        yield
    except NotImplementedError as error:
        if error.args:
            raise
        name = traceback.extract_tb(error.__traceback__)[-1].name
        print(f"Nothing to see yet: finish {name} first, then run this cell again.")


def images(
    pictures: Mapping[str, Any],
    *,
    columns: int | None = None,
    numbers: bool = False,
    signed: bool = False,
    shared: bool = False,
) -> Figure:
    """Pictures side by side, each under its title; `columns` of them in a row, else all.

    `numbers` writes the values into the pixels. With `signed`, white is zero; otherwise the
    darkest colour is zero (or the smallest value, if negative). With `shared`, all have one colour
    scale, which is shown.
    """
    arrays = {title: _picture(picture) for title, picture in pictures.items()}
    columns = columns or len(arrays)
    rows = -(-len(arrays) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.4 * columns, 2.6 * rows), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(arrays) :]:
        ax.remove()
    drawn = []
    for ax, (title, array) in zip(axes.flat, arrays.items(), strict=False):
        scale = _scale(list(arrays.values()) if shared else [array], signed)
        drawn.append(ax.imshow(array, cmap="PuOr" if signed else "cividis", norm=scale))
        if numbers:
            _write_numbers(ax, array, drawn[-1].to_rgba(array))
        ax.set_title(title, fontsize=10)
        ax.set(xticks=[], yticks=[])
    if shared:
        figure.colorbar(drawn[0], ax=list(axes.flat[: len(arrays)]), shrink=0.8)
    return figure


def convolution_step(
    x: Any,
    kernel: Any,
    out: Any,
    at: tuple[int, int],
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Figure:
    """How one number of a convolution's output comes about: input, kernel and output, with numbers.

    x[h, w] is drawn with its padding (grey); the pixels under the kernel for the output at
    `at` = (row, column) are framed, and so is that output. The sum is written out below, so that
    an `out` which does not hold it shows.
    """
    inner, weights, result = _picture(x), _picture(kernel), _picture(out)
    padded = np.pad(inner, padding)
    taps = [
        (at[0] * stride + u * dilation, at[1] * stride + v * dilation)
        for u, v in np.ndindex(weights.shape)
    ]
    under = np.array([padded[tap] for tap in taps])

    panels = {
        "input" + (f", padding {padding}" if padding else ""): padded,
        "kernel": weights,
        "output": result,
    }
    figure, axes = plt.subplots(
        1,
        3,
        figsize=(0.42 * sum(p.shape[1] + 1 for p in panels.values()), 0.42 * len(padded) + 0.9),
        width_ratios=[p.shape[1] for p in panels.values()],
        layout="constrained",
    )
    for ax, (title, array) in zip(axes, panels.items(), strict=True):
        colours = plt.get_cmap("cividis")(_scale([array], signed=False)(array))
        if array is padded:
            ring = np.pad(np.zeros(inner.shape, dtype=bool), padding, constant_values=True)
            colours[ring] = to_rgba(PADDING)
        ax.imshow(colours)
        _write_numbers(ax, array, colours)
        ax.set_title(title, fontsize=10)
        ax.set(xticks=[], yticks=[])
    for tap in taps:
        _frame(axes[0], tap)
    _frame(axes[2], at)

    products = [f"{_short(a)}·{_short(b)}" for a, b in zip(under, weights.flat, strict=True) if b]
    total = float(under @ weights.ravel())
    line = f"{' + '.join(products) or '0'} = {_short(total)}"
    if not np.isclose(total, result[at], atol=1e-4):
        line += f", but the output has {_short(result[at])}"
    figure.supxlabel(line, fontsize=10)
    return figure


def sampling_patterns(n: int, settings: Mapping[str, Mapping[str, int]]) -> Figure:
    """Where a kernel reads an n × n input: one panel for each setting.

    A setting has kernel_size and may have stride, padding and dilation. Orange discs are the pixels
    under the kernel in its first position, blue squares those in the next one to the right;
    padding is grey.
    """
    figure, axes = plt.subplots(
        1, len(settings), figsize=(2.7 * len(settings), 3.1), squeeze=False, layout="constrained"
    )
    for ax, (title, setting) in zip(axes.flat, settings.items(), strict=True):
        stride, dilation = setting.get("stride", 1), setting.get("dilation", 1)
        padding = setting.get("padding", 0)
        size = n + 2 * padding
        for edge in range(size + 1):
            ax.plot([-0.5, size - 0.5], [edge - 0.5] * 2, color=GREY, linewidth=0.8)
            ax.plot([edge - 0.5] * 2, [-0.5, size - 0.5], color=GREY, linewidth=0.8)
        ax.add_patch(Rectangle((-0.5, -0.5), size, size, facecolor=PADDING))
        ax.add_patch(Rectangle((padding - 0.5, padding - 0.5), n, n, facecolor="white"))
        reach = dilation * np.arange(setting["kernel_size"])
        columns, rows = np.meshgrid(reach, reach)
        # A marker's size is in points²: let it follow the cell, so that both always fit.
        area = (90 / size) ** 2
        ax.scatter(
            columns + stride,
            rows,
            area * 1.8,
            marker="s",
            facecolors="none",
            edgecolors=BLUE,
            linewidths=2,
        )
        ax.scatter(columns, rows, area * 0.6, color=ORANGE)
        ax.set_title(title, fontsize=10)
        ax.set_aspect("equal")
        ax.invert_yaxis()
        ax.set_axis_off()
    figure.legend(
        handles=[
            Line2D([], [], color=ORANGE, marker="o", linestyle="", label="first position"),
            Line2D([], [], color=BLUE, marker="s", linestyle="", fillstyle="none", label="next"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    return figure


def stamps(n: int, settings: Mapping[str, tuple[int, int]]) -> Figure:
    """How the stamps of a transposed convolution of n inputs overlap along one axis.

    A setting is (kernel_size, stride). A row for each input shows where its stamp falls on the
    output; the bars below count the stamps on each output.
    """
    figure, axes = plt.subplots(
        2,
        len(settings),
        figsize=(4.2 * len(settings), 3.6),
        sharex="col",
        squeeze=False,
        layout="constrained",
    )
    for (above, below), (title, (kernel_size, stride)) in zip(
        axes.T, settings.items(), strict=True
    ):
        count = np.zeros((n - 1) * stride + kernel_size, dtype=int)
        for i in range(n):
            count[i * stride : i * stride + kernel_size] += 1
            above.barh(i, kernel_size, left=i * stride - 0.5, height=0.7, color=BLUE, alpha=0.75)
        above.set(ylabel="input", yticks=range(n), title=title)
        above.invert_yaxis()
        bars = below.bar(np.arange(len(count)), count, width=0.9, color=ORANGE)
        below.bar_label(bars)
        below.set(
            xlabel="output", ylabel="stamps", xticks=range(len(count)), ylim=(0, count.max() + 0.8)
        )
        below.set_yticks(range(count.max() + 1))
    return figure


def receptive_fields(stacks: Mapping[str, Sequence[tuple[int, int, int]]]) -> Figure:
    """What one output sees through each stack of layers (kernel_size, stride, dilation).

    One panel a stack, the input at the bottom. Discs are the positions that the output depends on,
    rings on the input are positions between them that it skips.
    """
    figure, axes = plt.subplots(
        1, len(stacks), figsize=(4.6 * len(stacks), 3.4), squeeze=False, layout="constrained"
    )
    for ax, (title, layers) in zip(axes.flat, stacks.items(), strict=True):
        # A unit j of level l stands above the middle of what it sees: at j · jump[l] + middle[l].
        jump, middle = [1.0], [0.0]
        for kernel_size, stride, dilation in layers:
            middle.append(middle[-1] + jump[-1] * dilation * (kernel_size - 1) / 2)
            jump.append(jump[-1] * stride)
        seen = {0}
        for level in range(len(layers), 0, -1):
            kernel_size, stride, dilation = layers[level - 1]
            below = {j * stride + u * dilation for j in seen for u in range(kernel_size)}
            for j in seen:
                for u in range(kernel_size):
                    i = j * stride + u * dilation
                    ends = (
                        i * jump[level - 1] + middle[level - 1],
                        j * jump[level] + middle[level],
                    )
                    ax.plot(ends, (level - 1, level), color=GREY, linewidth=1, zorder=1)
            xs = [j * jump[level] + middle[level] for j in sorted(seen)]
            ax.scatter(xs, [level] * len(xs), 70, color=BLUE, zorder=2)
            seen = below
        skipped = sorted(set(range(min(seen), max(seen) + 1)) - seen)
        ax.scatter(sorted(seen), [0] * len(seen), 70, color=ORANGE, zorder=2)
        ax.scatter(skipped, [0] * len(skipped), 70, facecolors="white", edgecolors=ORANGE, zorder=2)
        names = [f"layer {i}: k {k}, s {s}, d {d}" for i, (k, s, d) in enumerate(layers, start=1)]
        ax.set_yticks(range(len(layers) + 1), ["input", *names])
        ax.set_xticks(range(min(seen), max(seen) + 1))
        ax.tick_params(axis="x", labelsize=8)
        ax.set_ylim(-0.4, len(layers) + 0.4)
        ax.set_title(title, fontsize=10)
        for side in ("top", "right", "left", "bottom"):
            ax.spines[side].set_visible(False)
    return figure


def _picture(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """The one picture in `values` as an array [h, w]."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.ndim < 2 or array.size != array.shape[-2] * array.shape[-1]:
        raise ValueError(f"one picture of shape [h, w] was expected, not {list(array.shape)}")
    return array.reshape(array.shape[-2:])


def _scale(arrays: Sequence[np.ndarray[Any, Any]], signed: bool) -> Normalize:
    low = min(0.0, *(float(array.min()) for array in arrays))
    high = max(0.0, *(float(array.max()) for array in arrays))
    if signed:
        high = max(high, -low)
        low = -high
    return Normalize(low, high if high > low else low + 1)


def _write_numbers(ax: Axes, array: np.ndarray[Any, Any], colours: np.ndarray[Any, Any]) -> None:
    for (row, column), value in np.ndenumerate(array):
        luminance = colours[row, column, :3] @ (0.3, 0.6, 0.1)
        ink = "black" if luminance > 0.45 else "white"
        ax.text(column, row, _short(value), color=ink, ha="center", va="center", fontsize=9)


def _short(value: Any) -> str:
    return f"{float(value):.3g}"


def _frame(ax: Axes, at: tuple[int, int]) -> None:
    corner = (at[1] - 0.45, at[0] - 0.45)
    ax.add_patch(Rectangle(corner, 0.9, 0.9, fill=False, edgecolor=RED, linewidth=2.5))
