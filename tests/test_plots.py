from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from gradus import plots

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def numbers_in(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def discs_in(ax: Axes) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for dots in ax.collections
        if isinstance(dots, PathCollection)
        for x, y in dots.get_offsets()
    ]


def test_images_shows_every_picture_with_its_values_under_its_title() -> None:
    tensor, array = torch.arange(6.0).reshape(1, 1, 2, 3), np.eye(4)
    figure = plots.images({"tensor": tensor, "array": array})
    assert [ax.get_title() for ax in figure.axes] == ["tensor", "array"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), array)


def test_images_breaks_rows_and_leaves_no_empty_frame() -> None:
    figure = plots.images({str(i): torch.ones(2, 2) for i in range(5)}, columns=3)
    assert len(figure.axes) == 5
    assert len({round(ax.get_subplotspec().rowspan.start) for ax in figure.axes}) == 2


def test_images_writes_each_number_into_its_pixel() -> None:
    figure = plots.images({"x": torch.tensor([[1.0, -2], [0.25, 40]])}, numbers=True)
    places = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert places == {(0, 0): "1", (1, 0): "-2", (0, 1): "0.25", (1, 1): "40"}


def test_images_shared_scale_spans_all_pictures_and_is_drawn() -> None:
    figure = plots.images({"a": torch.full((2, 2), 3.0), "b": -torch.ones(2, 2)}, shared=True)
    assert [ax.images[0].get_clim() for ax in figure.axes[:2]] == [(-1, 3), (-1, 3)]
    assert len(figure.axes) == 3


def test_images_own_scales_start_at_zero() -> None:
    figure = plots.images({"a": torch.full((2, 2), 3.0), "b": torch.full((2, 2), 7.0)})
    assert [ax.images[0].get_clim() for ax in figure.axes] == [(0, 3), (0, 7)]


def test_images_signed_puts_zero_in_the_middle() -> None:
    figure = plots.images({"a": torch.tensor([[-5.0, 2]])}, signed=True)
    assert figure.axes[0].images[0].get_clim() == (-5, 5)


def test_images_takes_tensors_that_require_a_gradient_and_leaves_them_alone() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    assert isinstance(plots.images({"x": x * 2}), Figure)
    assert x.requires_grad


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (2, 1, 3, 3)])
def test_images_refuses_what_is_not_one_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one picture"):
        plots.images({"x": torch.zeros(shape)})


def test_every_number_can_be_read_on_its_colour() -> None:
    figure = plots.images({"x": torch.tensor([[0.0, 1, 2, 3, 4, 5]])}, numbers=True)
    image = figure.axes[0].images[0]
    for text in figure.axes[0].texts:
        column = int(text.get_position()[0])
        background = image.to_rgba(image.get_array())[0, column, :3]
        ink = np.array(matplotlib.colors.to_rgb(text.get_color()))
        # WCAG's contrast ratio, at least that of large text.
        light, dark = sorted((_luminance(background), _luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


LECTURE = torch.tensor(
    [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 2, 5, 2, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
)


def test_convolution_step_writes_out_the_lectures_sum() -> None:
    out = torch.tensor([[8, 5, 4], [5, 9, 5], [4, 5, 8]])
    figure = plots.convolution_step(LECTURE, torch.eye(3), out, at=(1, 1))
    assert figure.get_supxlabel() == "2·1 + 5·1 + 2·1 = 9"
    assert numbers_in(figure.axes[0]) == [str(n) for n in LECTURE.flatten().tolist()]
    assert numbers_in(figure.axes[2]) == ["8", "5", "4", "5", "9", "5", "4", "5", "8"]


def test_convolution_step_shows_an_output_that_is_wrong() -> None:
    out = torch.full((3, 3), 7)
    figure = plots.convolution_step(LECTURE, torch.eye(3), out, at=(0, 0))
    assert figure.get_supxlabel() == "1·1 + 2·1 + 5·1 = 8, but the output has 7"


def test_convolution_step_draws_the_padding_as_zeros() -> None:
    figure = plots.convolution_step(LECTURE, torch.eye(3), torch.full((5, 5), 3), (0, 0), padding=1)
    numbers = np.array(numbers_in(figure.axes[0])).reshape(7, 7)
    assert set(numbers[0]) | set(numbers[:, 0]) | set(numbers[6]) | set(numbers[:, 6]) == {"0"}
    assert figure.get_supxlabel() == "0·1 + 1·1 + 2·1 = 3"


def test_convolution_step_frames_what_a_strided_dilated_kernel_reads() -> None:
    figure = plots.convolution_step(
        torch.arange(49).reshape(7, 7),
        torch.ones(2, 2),
        torch.zeros(2, 2),
        at=(1, 0),
        stride=3,
        dilation=2,
    )
    frames = [patch.get_xy() for patch in figure.axes[0].patches]
    assert {(round(x + 0.45), round(y + 0.45)) for x, y in frames} == {
        (0, 3),
        (2, 3),
        (0, 5),
        (2, 5),
    }


def test_sampling_patterns_marks_both_positions_of_the_kernel() -> None:
    figure = plots.sampling_patterns(
        7,
        {
            "stride": {"kernel_size": 2, "stride": 3},
            "dilation": {"kernel_size": 2, "dilation": 4, "padding": 1},
        },
    )
    assert sorted(discs_in(figure.axes[0])) == sorted(
        [(0, 0), (0, 1), (1, 0), (1, 1), (3, 0), (3, 1), (4, 0), (4, 1)]
    )
    assert sorted(discs_in(figure.axes[1])) == sorted(
        [(0, 0), (0, 4), (4, 0), (4, 4), (1, 0), (1, 4), (5, 0), (5, 4)]
    )


@settings(max_examples=6, deadline=None)
@given(n=st.integers(1, 5), kernel_size=st.integers(1, 4), stride=st.integers(1, 3))
def test_stamps_counts_as_a_transposed_convolution_of_ones_does(
    n: int, kernel_size: int, stride: int
) -> None:
    figure = plots.stamps(n, {"it": (kernel_size, stride)})
    above, below = figure.axes
    counts = torch.nn.functional.conv_transpose1d(
        torch.ones(1, 1, n), torch.ones(1, 1, kernel_size), stride=stride
    )
    assert [bar.get_height() for bar in below.patches] == counts.flatten().tolist()
    assert len(above.patches) == n
    plt.close(figure)


def test_receptive_fields_marks_what_is_seen_and_what_is_skipped() -> None:
    figure = plots.receptive_fields({"dense": [(3, 2, 1), (3, 1, 1)], "holes": [(3, 1, 2)] * 2})
    dense, holes = (sorted(x for x, y in discs_in(ax) if y == 0) for ax in figure.axes)
    assert dense == list(range(7))
    assert holes == list(range(9))  # discs and rings together
    rings = figure.axes[1].collections[-1].get_offsets()
    assert [float(x) for x, _ in rings] == [1, 3, 5, 7]


def test_receptive_fields_of_no_layers_is_one_pixel() -> None:
    figure = plots.receptive_fields({"none": []})
    assert discs_in(figure.axes[0]) == [(0, 0)]


def lines_in(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    return {
        line.get_label(): [tuple(point) for point in line.get_xydata().tolist()]
        for line in ax.lines
        if not line.get_label().startswith("_")
    }


def test_curves_counts_epochs_from_one_and_tells_lines_apart_without_colour() -> None:
    figure = plots.curves({"train": [3.0, 2, 1], "valid": torch.tensor([4.0, 5, 6])})
    (ax,) = figure.axes
    assert lines_in(ax) == {"train": [(1, 3), (2, 2), (3, 1)], "valid": [(1, 4), (2, 5), (3, 6)]}
    assert len({line.get_linestyle() for line in ax.lines}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "valid"]


def test_curves_over_x_with_a_logarithmic_axis_and_a_mark() -> None:
    x = torch.linspace(-1, 1, 3)
    figure = plots.curves({"y": x.exp()}, x=x, ylabel="gradient", log=True, marks={"here": 0.5})
    (ax,) = figure.axes
    assert [at for at, _ in lines_in(ax)["y"]] == [-1, 0, 1]
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "gradient")
    assert [text.get_text().strip() for text in ax.texts] == ["here"]
    assert 0.5 in [line.get_xdata()[0] for line in ax.lines]


def test_forecasts_begin_where_they_were_made() -> None:
    figure = plots.forecasts(torch.arange(5.0), {"model": torch.tensor([7.0, 8])}, start=3)
    lines = lines_in(figure.axes[0])
    assert lines["what happened"] == [(k, k) for k in range(5)]
    assert lines["model"] == [(3, 7), (4, 8)]


def test_over_time_has_a_strip_for_each_trace_with_time_to_the_right() -> None:
    gate = torch.rand(6, 3, requires_grad=True)
    figure = plots.over_time({"x": torch.arange(6.0), "f": gate, "c": gate - 0.5})
    strips = [ax for ax in figure.axes if ax.get_ylabel() in ("x", "f", "c")]
    assert [ax.images[0].get_array().shape for ax in strips] == [(1, 6), (3, 6), (3, 6)]
    np.testing.assert_array_equal(strips[1].images[0].get_array(), gate.detach().numpy().T)
    assert strips[1].images[0].get_clim() == (0, 1)
    low, high = strips[2].images[0].get_clim()
    assert low == -high < 0


def test_image_grids_fills_rows_and_shares_one_scale() -> None:
    pictures = torch.arange(1.0, 6)[:, None, None, None].expand(5, 1, 2, 3)
    figure = plots.image_grids({"five": pictures, "one": torch.full((1, 2, 3), 9.0)}, columns=3)
    five, one = (ax.images[0].get_array().filled(np.nan) for ax in figure.axes)
    assert five.shape == (2 * 3 + 1, 3 * 4 + 1)
    assert one.shape == (2 + 2, 3 + 2)
    tops, lefts = (1, 4), (1, 5, 9)
    corners = [five[top, left] for top in tops for left in lefts]
    np.testing.assert_array_equal(corners, [1, 2, 3, 4, 5, np.nan])
    assert np.isnan(five[3]).all()
    assert [ax.images[0].get_clim() for ax in figure.axes] == [(0, 9), (0, 9)]


def test_image_grids_refuses_what_is_not_a_list_of_pictures() -> None:
    with pytest.raises(ValueError, match=r"\[n, h, w\]"):
        plots.image_grids({"flat": torch.zeros(5, 64)})


def test_latent_plane_draws_each_code_as_its_label() -> None:
    codes = torch.tensor([[0.0, 1], [2, 3], [4, 5]], requires_grad=True)
    figure = plots.latent_plane(codes, torch.tensor([7, 3, 7]))
    (ax,) = figure.axes
    three, seven = (dots.get_offsets().tolist() for dots in ax.collections)
    assert three == [[2, 3]]
    assert seven == [[0, 1], [4, 5]]
    paths = [dots.get_paths()[0].vertices for dots in ax.collections]
    assert paths[0].shape != paths[1].shape  # a three and a seven


def test_clouds_draws_samples_over_the_surface_of_their_own_panel() -> None:
    figure = plots.clouds(
        {"before": torch.zeros(3, 2), "after": torch.ones(3, 2)},
        real=torch.full((4, 2), 0.5),
        modes=torch.tensor([[1.0, -1]]),
        surfaces={"after": lambda points: points[:, 0] + 10 * points[:, 1]},
        reach=2,
    )
    before, after = figure.axes
    assert discs_in(before) == [(0.5, 0.5)] * 4 + [(0, 0)] * 3 + [(1, -1)]
    assert discs_in(after)[4] == (1, 1)
    assert not before.images
    heights = after.images[0].get_array()
    # Rows go up with the second coordinate, columns with the first.
    assert heights[0, 0] == pytest.approx(-22)
    assert heights[0, -1] == pytest.approx(-18)
    assert heights[-1, 0] == pytest.approx(18)
    assert after.images[0].get_extent() == [-2, 2, -2, 2]
    assert after.images[0].get_clim() == (-22, 22)


def test_when_finished_names_the_function_that_is_still_empty(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def zero_pad2d() -> None:
        raise NotImplementedError()

    def conv2d() -> None:
        zero_pad2d()

    with plots.when_finished():
        conv2d()
    assert "finish zero_pad2d first" in capsys.readouterr().out


def test_when_finished_names_what_a_cell_above_has_not_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for block in ("forecast + 1", "[forecast for _ in range(2)]"):
        exec(f"with plots.when_finished():\n    {block}", {"plots": plots})
        assert "a cell above makes forecast;" in capsys.readouterr().out


def test_when_finished_lets_other_errors_through() -> None:
    for misspelt in ("wieght", "[wieght for _ in range(2)]"):
        block = f"def f():\n    return {misspelt}\nwith plots.when_finished():\n    f()"
        with pytest.raises(NameError, match="wieght"):
            exec(block, {"plots": plots})
    with pytest.raises(ZeroDivisionError), plots.when_finished():
        _ = 1 / 0
    with pytest.raises(NotImplementedError, match="Long"), plots.when_finished():
        raise NotImplementedError("not implemented for 'Long'")


def test_when_finished_runs_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    with plots.when_finished():
        print("here")
    assert capsys.readouterr().out == "here\n"
