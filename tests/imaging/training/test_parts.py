"""What a training is made of, each part by itself."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from sparseimplicit.errors import ConfigError, NonFinite, ShapeError
from sparseimplicit.executors import available_cores, cores
from sparseimplicit.hypergradient import checked_loss
from sparseimplicit.imaging import Observation, squared_error
from sparseimplicit.imaging.training import (
    Accuracy,
    Example,
    FullBatch,
    Minibatch,
    Ridge,
    Smooth,
    draw_crops,
    noisy_examples,
)
from sparseimplicit.imaging.training.examples import loss_of_image
from sparseimplicit.imaging.training.regularizers import regularize
from sparseimplicit.imaging.training.stages import Moments, units
from sparseimplicit.packing import Packing

IMAGES = [(f"{i}", np.arange(30.0 * (40 + i)).reshape(30, 40 + i) % 256) for i in range(5)]


def test_crops_are_the_same_whenever_and_however_many():
    some, more = draw_crops(IMAGES, 8, 7, seed=3), draw_crops(IMAGES, 8, 12, seed=3)
    for (name, crop), (again, same) in zip(some, more[:7], strict=True):
        assert name == again
        np.testing.assert_array_equal(crop, same)
        assert crop.shape == (8, 8)
    assert len({name.split()[0] for name, _ in some[:5]}) == 5  # every image once in a round
    other = draw_crops(IMAGES, 8, 7, seed=4)
    assert [name for name, _ in other] != [name for name, _ in some]


def test_a_crop_is_where_its_name_says():
    for name, crop in draw_crops(IMAGES, 6, 9, seed=0):
        image = dict(IMAGES)[name.split()[0]]
        rows, columns = name.partition("[")[2].rstrip("]").split(", ")
        top, left = (int(part.split(":")[0]) for part in (rows, columns))
        np.testing.assert_array_equal(crop, image[top : top + 6, left : left + 6])


def test_images_are_whole_without_a_size_and_too_small_ones_are_named():
    assert draw_crops(IMAGES, 0, 0, seed=0) == IMAGES
    with pytest.raises(ConfigError, match=r"^0 is 40 × 30, smaller than crops of 31"):
        draw_crops(IMAGES, 31, 0, seed=0)


def test_noise_is_that_of_its_number():
    examples = noisy_examples(IMAGES, 25.0, 7, first=2)
    for i, example in enumerate(examples, start=2):
        noise = 25.0 * np.random.default_rng([7, i]).standard_normal(example.truth.shape)
        np.testing.assert_array_equal(example.observed.image, example.truth + noise)


def test_of_several_noise_levels_each_image_draws_one():
    many = [IMAGES[0]] * 40
    deviations = [np.std(e.observed.image - e.truth) for e in noisy_examples(many, [10.0, 40.0], 0)]
    assert {round(d / 10) for d in deviations} == {1, 4}


def test_a_pair_must_fit():
    with pytest.raises(ShapeError, match="'x': measured"):
        Example("x", Observation(np.zeros((3, 4))), np.zeros((4, 3)))


def test_the_loss_of_an_image_that_is_part_of_the_state():
    truth = np.arange(6.0).reshape(2, 3)
    example = Example("x", Observation(truth), truth)
    loss = loss_of_image(example, lambda state, shape: state[1::2].reshape(shape), 12)
    y = np.random.default_rng(0).standard_normal(12)
    value, _, l_y = loss(None, y)
    assert value == pytest.approx(0.5 * np.sum((y[1::2] - truth.ravel()) ** 2))
    np.testing.assert_array_equal(l_y[::2], 0.0)
    np.testing.assert_allclose(l_y[1::2], y[1::2] - truth.ravel())


def test_the_loss_may_be_the_psnr():
    rng = np.random.default_rng(0)
    truth, y, along = rng.uniform(0.0, 255.0, (2, 3)), *rng.uniform(0.0, 255.0, (2, 6))
    example = Example("x", Observation(truth), truth, loss="psnr")
    loss = loss_of_image(example, lambda state, shape: state.reshape(shape), 6)
    value, _, l_y = loss(None, y)
    assert value == pytest.approx(
        -6 * peak_signal_noise_ratio(truth, y.reshape(2, 3), data_range=255)
    )
    h = 1e-4
    differences = (loss(None, y + h * along)[0] - loss(None, y - h * along)[0]) / (2 * h)
    assert l_y @ along == pytest.approx(differences, rel=1e-6)
    with pytest.raises(NonFinite, match="the loss is -inf"):
        checked_loss(loss, np.zeros(0), truth.ravel())
    with pytest.raises(ShapeError, match="loss is 'ssim'"):
        Example("x", Observation(truth), truth, loss="ssim")


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Minibatch, {"steps": 0}),
        (Minibatch, {"batch": 0}),
        (Minibatch, {"rate": -1.0}),
        (Minibatch, {"last_rate": -1.0}),
        (Minibatch, {"decay_square": 1.0}),
        (FullBatch, {"max_iterations": 0}),
        (FullBatch, {"memory": 1.5}),
        (FullBatch, {"stop_rtol": float("nan")}),
    ],
)
def test_a_stage_that_is_none(kind, given):
    (name,) = given
    with pytest.raises(ShapeError, match=f"{name} is ") as caught:
        kind(**given)
    assert caught.value.where == kind.__name__


def test_an_example_may_be_an_image_as_it_is():
    image = np.arange(12.0).reshape(3, 4)
    assert isinstance(Example("a", image, image).observed, Observation)


def test_the_loss_names_a_truth_of_another_size():
    with pytest.raises(ShapeError, match="20 unknowns, the truth 12 pixels"):
        squared_error(np.zeros((3, 4)))(None, np.zeros(20))


def test_adam_by_hand():
    stage = Minibatch(decay_mean=0.8, decay_square=0.9, epsilon=0.0)
    g1, g2 = np.array([3.0, -0.5]), np.array([1.0, 2.0])
    moments, step = Moments(np.zeros(2), np.zeros(2)).advance(g1, stage)
    np.testing.assert_allclose(step, np.sign(g1), rtol=1e-14)  # m̂ = g, v̂ = g²
    _, step = moments.advance(g2, stage)
    mean = (0.8 * 0.2 * g1 + 0.2 * g2) / (1 - 0.64)
    square = (0.9 * 0.1 * g1**2 + 0.1 * g2**2) / (1 - 0.81)
    np.testing.assert_allclose(step, mean / np.sqrt(square), rtol=1e-14)


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (13, 4), (5, 9), (7, 1)])
def test_an_epoch_visits_every_image_once_but_for_a_rest(count, batch):
    stage = Minibatch(steps=100, batch=batch, seed=2)
    size = min(batch, count)
    per_epoch = count // size
    for epoch in range(3):
        steps = [stage.batch_of(count, epoch * per_epoch + k) for k in range(per_epoch)]
        for one in steps:
            assert one == sorted(one)
            assert len(one) == size
        visited = [i for one in steps for i in one]
        assert len(set(visited)) == len(visited) == per_epoch * size
    if per_epoch > 1:
        orders = {tuple(stage.batch_of(count, epoch * per_epoch)) for epoch in range(8)}
        assert len(orders) > 1


def test_rates_fall_along_half_a_cosine():
    stage = Minibatch(steps=10, rate=0.3, last_rate=0.1)
    assert stage.rate_at(0) == pytest.approx(0.3)
    assert stage.rate_at(5) == pytest.approx(0.2)
    assert stage.rate_at(10) == pytest.approx(0.1)


def test_accuracies_fall_geometrically():
    accuracy = Accuracy(1e-2, 1e-6, over=4)
    np.testing.assert_allclose([accuracy.at(k) for k in (0, 2, 4, 9)], [1e-2, 1e-4, 1e-6, 1e-6])
    assert accuracy.at(4) == accuracy.final == 1e-6
    assert Accuracy(1e-3).at(100) == 1e-3
    with pytest.raises(ShapeError, match="first ≥ last"):
        Accuracy(1e-6, 1e-3)


PACKING = Packing(log_weight=(4, 5), filters=(2, 3), epsilon=())


def test_smoothness_is_the_form_of_differences():
    """Against dense algebra: ½ w/n θᵀ (D_yᵀ D_y + D_xᵀ D_x) θ."""
    down = np.kron(np.diff(np.eye(4), axis=0), np.eye(5))
    right = np.kron(np.eye(4), np.diff(np.eye(5), axis=0))
    form = 0.7 / 20 * (down.T @ down + right.T @ right)
    theta = np.random.default_rng(0).standard_normal(20)
    value, gradient = Smooth("log_weight", 0.7).value_and_gradient(theta.reshape(4, 5), 0.0)
    assert value == pytest.approx(0.5 * theta @ form @ theta)
    np.testing.assert_allclose(gradient.ravel(), form @ theta, atol=1e-15)


def test_regularizers_by_taylor():
    """Quadratics: a central difference is exact."""
    random = np.random.default_rng(1)
    terms = (Smooth("log_weight", 0.3), Ridge("filters", 2.0), Ridge("epsilon", 0.5))
    theta, start, along = (random.standard_normal(PACKING.size) for _ in range(3))
    _, gradient = regularize(terms, PACKING, theta, start)
    ahead, behind = (
        regularize(terms, PACKING, theta + sign * 0.5 * along, start)[0] for sign in (1, -1)
    )
    assert gradient @ along == pytest.approx(ahead - behind, rel=1e-12)
    assert regularize(terms[1:], PACKING, start, start)[0] == 0.0


def test_regularizers_and_scales_that_do_not_fit():
    with pytest.raises(ShapeError, match="no map"):
        Smooth("epsilon", 1.0).check(PACKING)
    with pytest.raises(ShapeError, match="no block 'filter'"):
        Ridge("filter", 1.0).check(PACKING)
    with pytest.raises(ShapeError, match="weight on block 'filters' is -1"):
        Ridge("filters", -1.0).check(PACKING)
    with pytest.raises(ShapeError, match="scale of block"):
        units({"filters": 0.0}, PACKING)
    np.testing.assert_array_equal(units({"epsilon": 0.1}, PACKING)[[0, -1]], [1.0, 0.1])


def test_steps_to_be_reckoned_with():
    assert Minibatch(steps=7).most_steps == 7
    assert FullBatch(max_iterations=10).most_steps >= 11


def test_cores_are_the_tightest_of_all_limits(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "control_groups", lambda controller: iter(()))
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    assert available_cores() == 8
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert available_cores() == 6
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    monkeypatch.setattr(cores, "control_groups", lambda controller: iter([(tmp_path, 2)]))
    assert available_cores() == 3
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert available_cores() == 6
    (tmp_path / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(cores, "control_groups", lambda controller: iter([(tmp_path, 1)]))
    assert available_cores() == 1
