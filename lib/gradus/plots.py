"""Pictures for the notebooks: small functions that take numbers and return a matplotlib Figure.

Values are drawn in cividis, signed values in PuOr (white is zero), categories in colours of Okabe
and Ito's palette and in different shapes, so that nobody has to tell them apart by hue. Pictures
are tensors or anything else that numpy can read, [h, w] or with leading sizes of one, [1, 1, h, w].
"""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

ORANGE, BLUE, RED, GREY = "#E69F00", "#0072B2", "#D55E00", "#BBBBBB"
GREEN, PINK, SKY = "#009E73", "#CC79A7", "#56B4E9"
PADDING = "#E4E4E4"
LINES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (RED, ":"), (PINK, "-"), (SKY, "--"))


@contextmanager
def when_finished() -> Iterator[None]:
    """Runs its block, and says what to do first where a cell above is not finished yet.

    Not finished means that a function still raises the empty NotImplementedError of the notebook as
    it was handed out, or that the block itself uses a name that no cell has made; every other error
    passes through.
    """
    try:
        yield
    except NotImplementedError as error:
        if error.args:
            raise
        name = traceback.extract_tb(error.__traceback__)[-1].name
        print(f"Nothing to see yet: finish {name} first, then run this cell again.")
    except NameError as error:
        frames = traceback.extract_tb(error.__traceback__)
        if any(not f.name.startswith("<") for f in frames if f.filename != __file__):
            raise  # a function's own mistake; <module> and <listcomp> are the block
        print(
            f"Nothing to see yet: a cell above makes {error.name}; finish and run that first, then "
            "run this cell again."
        )


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


def curves(
    lines: Mapping[str, Any],
    *,
    x: Any = None,
    xlabel: str = "epoch",
    ylabel: str = "loss",
    log: bool = False,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """Lines over a common axis, each [n]: learning curves, or functions of x[n].

    Without x, the values are counted from 1. `log` makes the vertical axis logarithmic. `marks`
    are vertical lines, such as the epoch where training stopped.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for (name, line), (colour, dashes) in zip(lines.items(), cycle(LINES), strict=False):
        values = _numbers(line)
        at = np.arange(1, len(values) + 1) if x is None else _numbers(x)
        ax.plot(at, values, color=colour, linestyle=dashes, linewidth=2, label=name)
    for name, position in (marks or {}).items():
        ax.axvline(position, color="black", linewidth=1)
        ax.text(
            position, 0.98, f" {name}", transform=ax.get_xaxis_transform(), va="top", fontsize=9
        )
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    if x is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    ax.grid(color=PADDING)
    ax.legend()
    return figure


def forecasts(
    series: Any, predictions: Mapping[str, Any], *, start: int, ylabel: str = "price"
) -> Figure:
    """A series[t], and what was predicted for its values from `start` on, each [steps]."""
    figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    values = _numbers(series)
    ax.plot(np.arange(len(values)), values, color="black", linewidth=1.2, label="what happened")
    for (name, line), (colour, dashes) in zip(predictions.items(), cycle(LINES), strict=False):
        predicted = _numbers(line)
        at = np.arange(start, start + len(predicted))
        ax.plot(at, predicted, color=colour, linestyle=dashes, linewidth=2.5, label=name)
    ax.margins(x=0)
    ax.axvspan(start - 0.5, ax.get_xlim()[1], color=PADDING, zorder=0)
    ax.set(xlabel="time", ylabel=ylabel)
    figure.legend(loc="outside upper center", ncols=1 + len(predictions))
    return figure


def over_time(traces: Mapping[str, Any]) -> Figure:
    """What went on in a recurrent network: a strip for each trace, time to the right.

    A trace is [s], or [s, H] with a row for each unit. Gates, from 0 to 1, are drawn in cividis;
    a trace that goes below zero is drawn with white as zero.
    """
    arrays = {name: np.atleast_2d(_numbers(trace).T) for name, trace in traces.items()}
    figure, axes = plt.subplots(
        len(arrays),
        1,
        figsize=(8, 0.5 + sum(0.45 + 0.13 * len(array) for array in arrays.values())),
        height_ratios=[2 + len(array) for array in arrays.values()],
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (name, array) in zip(axes.flat, arrays.items(), strict=True):
        signed = bool(array.min() < 0)
        scale = _scale([array], signed) if signed else Normalize(0, max(1.0, float(array.max())))
        colours = "PuOr" if signed else "cividis"
        drawn = ax.imshow(array, cmap=colours, norm=scale, aspect="auto", interpolation="nearest")
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set_yticks([])
        bar = figure.colorbar(drawn, ax=ax, pad=0.01, aspect=8)
        bar.ax.tick_params(labelsize=8)
        bar.locator = MaxNLocator(3 if len(array) > 3 else 1)
    axes.flat[-1].set_xlabel("time")
    return figure


def image_grids(pictures: Mapping[str, Any], *, columns: int = 8) -> Figure:
    """Many small pictures [n, h, w] or [n, 1, h, w] to a panel: data, samples, interpolations.

    They fill rows of `columns` pictures. All share one scale, from 0 (or the smallest value, if
    negative) to the largest.
    """
    sheets = {title: _sheet(_numbers(each), columns) for title, each in pictures.items()}
    width = max(3.6, 0.5 * columns)
    figure, axes = plt.subplots(
        1,
        len(sheets),
        figsize=(
            width * len(sheets),
            0.4 + (width - 0.1) * max(s.shape[0] / s.shape[1] for s in sheets.values()),
        ),
        squeeze=False,
        layout="constrained",
    )
    scale = _scale([np.nan_to_num(sheet) for sheet in sheets.values()], signed=False)
    for ax, (title, sheet) in zip(axes.flat, sheets.items(), strict=True):
        ax.imshow(sheet, cmap="cividis", norm=scale)
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
    return figure


def latent_plane(codes: Any, labels: Any) -> Figure:
    """Codes[n, 2] in the plane, each drawn as its label, so that nobody has to match colours."""
    points, names = _numbers(codes), _numbers(labels)
    figure, ax = plt.subplots(figsize=(6, 6), layout="constrained")
    for name, (colour, _) in zip(np.unique(names), cycle(LINES), strict=False):
        chosen = points[names == name]
        ax.scatter(chosen[:, 0], chosen[:, 1], 45, color=colour, marker=f"${name}$", linewidths=0.3)
    ax.set(xlabel="z₁", ylabel="z₂", aspect="equal")
    ax.grid(color=PADDING)
    ax.set_axisbelow(True)
    return figure


def clouds(
    panels: Mapping[str, Any],
    *,
    real: Any = None,
    modes: Any = None,
    surfaces: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] | None = None,
    reach: float = 3.0,
) -> Figure:
    """Samples[n, 2] in the plane, a panel for each: a generator at work.

    real[n, 2] are small grey dots, modes[m, 2] black crosses, samples green rings. A panel that
    `surfaces` names is coloured by that function of points[n, 2] on the CPU, such as a
    discriminator's logits: orange below zero, violet above, white where it is undecided. Every
    panel spans −reach to reach.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.1 * len(panels), 3.3), squeeze=False, layout="constrained"
    )
    for ax, (title, samples) in zip(axes.flat, panels.items(), strict=True):
        if surfaces and title in surfaces:
            _draw_surface(ax, surfaces[title], reach)
        if real is not None:
            ax.scatter(*_numbers(real).T, 4, color="#777777", linewidths=0)
        ax.scatter(*_numbers(samples).T, 9, facecolors="none", edgecolors=GREEN, linewidths=0.9)
        if modes is not None:
            ax.scatter(*_numbers(modes).T, 60, color="black", marker="+", linewidths=1.5)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        ax.set_title(title, fontsize=10)
    return figure


def _draw_surface(ax: Axes, function: Callable[[torch.Tensor], torch.Tensor], reach: float) -> None:
    side = torch.linspace(-reach, reach, 101)
    with torch.no_grad():
        heights = function(torch.cartesian_prod(side, side)).reshape(101, 101).T
    values = _numbers(heights)
    extent = (-reach, reach, -reach, reach)
    ax.imshow(
        values, cmap="PuOr", norm=_scale([values], signed=True), extent=extent, origin="lower"
    )


def _sheet(pictures: np.ndarray[Any, Any], columns: int) -> np.ndarray[Any, Any]:
    """Pictures [n, h, w] side by side in rows, with gaps of one pixel (nan) around them."""
    if pictures.ndim == 4 and pictures.shape[1] == 1:
        pictures = pictures[:, 0]
    if pictures.ndim != 3:
        raise ValueError(f"pictures of shape [n, h, w] were expected, not {list(pictures.shape)}")
    n, h, w = pictures.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (h + 1) + 1, columns * (w + 1) + 1), np.nan)
    for place, picture in enumerate(pictures):
        top, left = 1 + place // columns * (h + 1), 1 + place % columns * (w + 1)
        sheet[top : top + h, left : left + w] = picture
    return sheet


def _numbers(values: Any) -> np.ndarray[Any, Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def _picture(values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """The one picture in `values` as an array [h, w]."""
    array = _numbers(values)
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
