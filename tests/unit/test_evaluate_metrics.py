"""Figures against values known otherwise, and what must hold for any pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgan_plugin.evaluate import confidence, metrics
from vgan_plugin.evaluate.statistics import bootstrap

PICTURES = arrays(np.uint8, (3, 13, 15))


def noise(seed: int, height: int = 32, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8)


def smooth(seed: int, height: int = 64, width: int = 96, scale: int = 8) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((3, height // scale + 2, width // scale + 2))
    fine = np.kron(coarse, np.ones((scale, scale)))
    for axis in (1, 2):
        for _ in range(3):
            fine = (np.roll(fine, 1, axis) + 2 * fine + np.roll(fine, -1, axis)) / 4
    return (fine[:, :height, :width] * 255).astype(np.uint8)


def test_psnr_of_an_error_of_one_code_value_is_48_13_db() -> None:
    truth = np.full((3, 8, 8), 100, np.uint8)
    assert metrics.psnr(metrics.mse(truth + 1, truth)) == pytest.approx(48.1308, abs=1e-4)


def test_psnr_of_identical_pictures_is_100() -> None:
    assert metrics.psnr(metrics.mse(noise(0), noise(0))) == 100


def test_mse_inside_a_mask_sees_nothing_outside() -> None:
    truth, mask = noise(0), np.zeros((32, 40), np.bool_)
    mask[4:9, 5:11] = True
    made = truth.copy()
    made[:, ~mask] ^= 255
    assert metrics.mse(made, truth, mask) == 0
    assert metrics.mse(made, truth) > 0


def ssim_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, a window at a time."""
    x = np.arange(11) - 5.0
    w = np.exp(-(x**2) / (2 * 1.5**2))
    w = np.outer(w, w) / np.outer(w, w).sum()
    found = []
    for p, q in zip(a.astype(float), b.astype(float), strict=True):
        for i in range(p.shape[0] - 10):
            for j in range(p.shape[1] - 10):
                u, v = p[i : i + 11, j : j + 11], q[i : i + 11, j : j + 11]
                mu, mv = (w * u).sum(), (w * v).sum()
                su, sv, suv = (w * (u - mu) ** 2).sum(), (w * (v - mv) ** 2).sum(), (w * (u - mu) * (v - mv)).sum()
                top = (2 * mu * mv + 6.5025) * (2 * suv + 58.5225)
                found.append(top / ((mu**2 + mv**2 + 6.5025) * (su + sv + 58.5225)))
    return float(np.mean(found))


def test_ssim_is_that_of_the_paper() -> None:
    a = smooth(1, 24, 32)
    b = np.clip(a.astype(int) + np.random.default_rng(2).integers(-20, 21, a.shape), 0, 255).astype(np.uint8)
    assert metrics.ssim_rgb(b, a) == pytest.approx(ssim_by_hand(b, a), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(PICTURES, PICTURES)
def test_ssim_is_symmetric_at_most_one_and_one_for_the_same(a: np.ndarray, b: np.ndarray) -> None:
    found = metrics.ssim_rgb(a, b)
    assert found == pytest.approx(metrics.ssim_rgb(b, a), abs=1e-4)
    assert -1.001 <= found <= 1.001
    assert metrics.ssim_rgb(a, a) == pytest.approx(1, abs=1e-4)


def test_sharpness_of_a_chequerboard_is_its_laplacian_squared() -> None:
    board = np.indices((10, 12)).sum(0) % 2 * np.uint8(255)
    picture = np.broadcast_to(board, (3, 10, 12)).astype(np.uint8)
    assert metrics.sharpness(picture) == pytest.approx((4 * 255) ** 2, rel=1e-4)


def test_a_blurred_picture_is_less_sharp_than_its_neighbours() -> None:
    picture = noise(0).astype(int)
    blurred = ((picture + np.roll(picture, 1, 2)) // 2).astype(np.uint8)
    assert metrics.sharpness(blurred) < 0.7 * metrics.sharpness(noise(0))


@settings(max_examples=25, deadline=None)
@given(PICTURES, PICTURES)
def test_a_true_pair_flickers_not_at_all_and_a_constant_offset_neither(a: np.ndarray, b: np.ndarray) -> None:
    assert metrics.flicker((a, b), (a, b)) == 0
    low = (a // 2, b // 2)
    assert metrics.flicker((low[0] + np.uint8(9), low[1] + np.uint8(9)), low) == 0


def test_a_frame_that_does_not_change_flickers_by_the_true_change() -> None:
    a = np.full((3, 8, 8), 10, np.uint8)
    assert metrics.flicker((a, a), (a, a + np.uint8(6))) == 6


def test_expected_error_is_what_the_confidence_is_made_from() -> None:
    error = np.array([0.0, 0.02, 0.1], np.float32)
    assert confidence.expected(1 / (1 + 50 * error)) == pytest.approx(error, abs=1e-6)


def said(error: np.ndarray) -> np.ndarray:
    return (1 / (1 + 50 * error)).astype(np.float32)


def test_who_knows_its_errors_is_ranked_one_and_who_has_them_upside_down_minus_one() -> None:
    error = np.kron(np.geomspace(1 / 255, 60 / 255, 48).reshape(6, 8), np.ones((8, 8)))
    truth = np.full((3, 48, 64), 100, np.uint8)
    made = (truth + np.round(error * 255)).astype(np.uint8)
    right, sums = confidence.count(said(error), made, truth)
    wrong, _ = confidence.count(said(error[::-1, ::-1]), made, truth)
    assert confidence.rank_correlation(right) > 0.97
    assert confidence.rank_correlation(wrong) < -0.9
    filled = right.sum(1) > 0
    assert sums[filled, 0] == pytest.approx(sums[filled, 1], rel=0.35)


def test_who_always_says_the_same_has_no_rank() -> None:
    counts, _ = confidence.count(np.full((32, 40), 0.5, np.float32), noise(0), noise(1))
    assert np.isnan(confidence.rank_correlation(counts))


@settings(max_examples=25, deadline=None)
@given(arrays(np.int64, (confidence.BINS, confidence.BINS), elements=st.integers(0, 9)))
def test_rank_correlation_is_that_of_the_list_which_the_table_counts(counts: np.ndarray) -> None:
    rows, columns = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    found = confidence.rank_correlation(counts)
    if len(set(rows)) < 2 or len(set(columns)) < 2:
        assert np.isnan(found)
        return
    ranks = [np.array([(x < v).sum() + ((x == v).sum() - 1) / 2 for v in x]) for x in (rows, columns)]
    assert found == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)


def test_counts_of_frames_add_up() -> None:
    halves = [
        confidence.count(np.full((16, 40), 0.4, np.float32), noise(0)[:, s], noise(1)[:, s])
        for s in (slice(16), slice(16, 32))
    ]
    counts, sums = confidence.count(np.full((32, 40), 0.4, np.float32), noise(0), noise(1))
    assert np.array_equal(counts, halves[0][0] + halves[1][0])
    assert sums == pytest.approx(halves[0][1] + halves[1][1])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_the_interval_lies_within_the_differences_around_their_mean_and_is_repeatable(values: list[float]) -> None:
    low, high = bootstrap(values)
    assert min(values) - 1e-9 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= max(values) + 1e-9
    assert bootstrap(values) == (low, high)


def test_the_interval_of_many_normal_differences_is_two_standard_errors_wide_either_way() -> None:
    values = np.random.default_rng(0).normal(1, 2, 400)
    low, high = bootstrap(list(values))
    assert (high - low) / 2 == pytest.approx(1.96 * 2 / 20, rel=0.1)


def moved(picture: np.ndarray, pixels: int) -> np.ndarray:
    return np.roll(picture, pixels, 2)


def test_optical_flow_finds_a_shift_and_its_figures_are_zero_for_the_truth() -> None:
    pytest.importorskip("cv2")
    from vgan_plugin.evaluate import motion

    a = smooth(3, 96, 128)
    b = moved(a, 3)
    forth = motion.flow(a, b)
    assert np.median(forth[..., 0]) == pytest.approx(3, abs=0.2)
    assert motion.class_of(motion.length(forth)) == "medium"
    assert motion.flow_error(motion.flow(a, b), forth) == 0
    back, seen = motion.both_ways(a, b)
    assert seen.mean() > 0.8
    assert motion.warping_error((a, b), back, seen) < 0.15 * motion.warping_error((a, a), back, seen)


def test_dis_makes_the_middle_of_a_shift_and_moves_on_beyond_it_where_blend_cannot() -> None:
    pytest.importorskip("cv2")
    from vgan_plugin.evaluate import motion

    a = smooth(4, 96, 128)
    inner = (slice(None), slice(16, -16), slice(16, -16))
    middle = motion.between(a, moved(a, 4), 0.5)
    blend = ((a.astype(int) + moved(a, 4)) // 2).astype(np.uint8)
    assert metrics.mse(middle[inner], moved(a, 2)[inner]) < 0.2 * metrics.mse(blend[inner], moved(a, 2)[inner])
    after = motion.beyond(a, moved(a, 2), 1)
    assert metrics.mse(after[inner], moved(a, 4)[inner]) < 0.2 * metrics.mse(moved(a, 2)[inner], moved(a, 4)[inner])
