"""Trainings: the right answer, the same bits wherever and however interrupted."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import sparseimplicit as si
from sparseimplicit.errors import (
    ConfigError,
    NotPositiveDefinite,
    ShapeError,
    SparseImplicitError,
)
from sparseimplicit.files import write_atomically
from sparseimplicit.imaging import FieldsOfExperts, TotalVariation, squared_error, train
from sparseimplicit.imaging.training import (
    Accuracy,
    FullBatch,
    Minibatch,
    Processes,
    Ridge,
    Serial,
    Smooth,
    Training,
    Validation,
    Visitors,
    store,
)
from sparseimplicit.imaging.training.images import Images
from sparseimplicit.imaging.training.run import Run
from sparseimplicit.imaging.training.visits import Visit


def variant(plan, **changes):
    names = ("model", "examples", "stages", "validation", "regularizers", "start", "bounds")
    return Training(**{name: getattr(plan, name) for name in names} | changes)


def same(a, b):
    np.testing.assert_array_equal(a.theta, b.theta)
    told = [[(s.step, s.value, s.gradient_norm, s.validation) for s in t.history] for t in (a, b)]
    assert told[0] == told[1]
    assert [s.learned for s in a.scores] == [s.learned for s in b.scores]


@pytest.fixture(scope="session")
def whole(plan):
    return train(plan)


def test_the_weight_learned_is_the_best_one(examples):
    plan = Training(
        TotalVariation(), examples[:2], [FullBatch(stop_rtol=1e-6, accuracy=Accuracy(1e-8))],
        start=1.0,
    )  # fmt: skip
    trained = train(plan)
    implicits = [plan.model.implicit(e.observed) for e in examples[:2]]

    def objective(theta):
        return sum(
            squared_error(e.truth)(None, f.solve(theta, e.observed.image.ravel()).y)[0]
            for f, e in zip(implicits, examples[:2], strict=True)
        )

    best = minimize_scalar(objective, bounds=(0, 6), method="bounded", options={"xatol": 1e-7})
    assert trained.theta[0] == pytest.approx(best.x, abs=1e-4)
    assert trained.converged
    for score in trained.scores:
        assert score.learned > score.noisy + 2
        assert score.learned >= score.start


def test_l_bfgs_does_what_minimize_does(examples):
    plan = Training(TotalVariation(weight="directions"), examples[:3], start=[2.0, 1.0])
    trained = train(plan)
    pixels = plan.pixels(range(3))
    result = si.minimize(
        [squared_error(e.truth, 1.0 / pixels) for e in examples[:3]],
        [plan.model.implicit(e.observed) for e in examples[:3]],
        [2.0, 1.0],
        y0=[e.observed.image.ravel() for e in examples[:3]],
        bounds=(-8.0, 8.0), stop_rtol=1e-4,
    )  # fmt: skip
    np.testing.assert_allclose(trained.theta, result.x, rtol=1e-3)
    assert trained.history[trained.best_step].value == pytest.approx(result.value, rel=1e-5)


@pytest.mark.parametrize("model", [
    TotalVariation(weight="directions", learn_epsilon=True),
    FieldsOfExperts(size=3, count=4, potential="charbonnier", filters="learned"),
])  # fmt: skip
def test_the_gradient_by_taylor(examples, model):
    block = next(iter(model.packing((1, 1)).shapes))
    plan = Training(model, examples[:2], regularizers=[Ridge(block, 3.0)])
    run = Run(plan, Visitors(Serial(), model, dict(enumerate(plan.all))), None, None)
    theta = plan.first + 0.1
    along = np.random.default_rng(0).standard_normal(theta.size)
    at = run.evaluate(theta, [0, 1], 1e-11, error=True)
    assert at.error < 1e-6 * np.linalg.norm(at.gradient)
    left = []
    for h in (4e-3, 2e-3, 1e-3):
        moved = run.evaluate(theta + h * along, [0, 1], 1e-11, error=False)
        left.append(abs(moved.value - at.value - h * (at.gradient @ along)))
    slopes = np.log2(np.array(left[:-1]) / left[1:])
    assert ((slopes > 1.9) & (slopes < 2.1)).all()


def test_the_psnr_is_what_a_training_by_it_raises_most(examples):
    """No weight around the one that was learned gives more."""
    model = TotalVariation()
    even = [replace(example, loss="psnr") for example in examples[::2]]  # of one size
    trained = train(Training(model, even, stages=[FullBatch(stop_rtol=1e-6)]))

    def mean_psnr(theta):
        images = Images(model, dict(enumerate(even)))
        seated = images.answer(Visit(theta, 1e-8, gradient=False), range(len(even)), {}, "")
        return np.mean([answer.psnr for answer in seated.answers])

    best = mean_psnr(trained.theta)
    assert trained.history[trained.best_step].value == pytest.approx(-best, abs=1e-3)
    assert all(mean_psnr(trained.theta + shift) < best + 1e-6 for shift in (-0.2, -0.05, 0.05, 0.2))
    other = Training(model, examples[::2], stages=[FullBatch(stop_rtol=1e-6)])
    assert other.identity() != Training(model, even, stages=other.stages).identity()


def test_an_image_whose_loose_state_will_not_do_is_solved_closer(examples, monkeypatch):
    model, solve, asked = TotalVariation(), Images._solve, []

    def only_close(self, i, visit, kept, notes):
        asked.append(visit.rtol)
        if visit.rtol > limit:
            raise NotPositiveDefinite("curvature ≤ 0", where="here", fix="none")
        return solve(self, i, visit, kept, notes)

    monkeypatch.setattr(Images, "_solve", only_close)
    images = Images(model, {0: examples[0]})
    limit = 1e-6
    visit = Visit(model.start((20, 20)), 1e-4)
    (answer,) = images.answer(visit, [0], {}, "").answers
    assert asked == pytest.approx([1e-4, 1e-5, 1e-7])
    for closer in ("1e-05", "1e-07"):
        assert any(f"begun anew, to {closer}" in note for note in answer.notes)
    assert answer.work.state_residual <= 1e-7
    limit = 0.0
    with pytest.raises(NotPositiveDefinite, match="image 0"):
        images.answer(visit, [0], {}, "")


def test_the_error_of_a_loose_gradient_is_a_bound(examples):
    plan = Training(TotalVariation(weight="directions"), examples)

    def evaluated(rtol):
        run = Run(plan, Visitors(Serial(), plan.model, dict(enumerate(plan.all))), None, None)
        return run.evaluate(plan.first, list(range(6)), rtol, error=True)

    exact = evaluated(1e-11).gradient
    for rtol in (1e-2, 1e-4):
        loose = evaluated(rtol)
        miss = np.linalg.norm(loose.gradient - exact)
        assert 0.0 < miss < 1.1 * loose.error


def test_a_mini_batch_stage_gets_better_on_images_held_out(whole):
    looks = [step.validation for step in whole.history if step.validation is not None]
    assert max(looks) > looks[0] + 0.3
    assert len(whole.validation) == 2
    best = np.mean([score.learned for score in whole.validation])
    assert best == pytest.approx(max(looks), abs=0.02)
    assert whole.history[1].images == 3
    assert whole.history[-1].images == 6


def test_loose_accuracies_end_tight(examples):
    loose = FullBatch(max_iterations=20, accuracy=Accuracy(1e-2, 1e-7, over=200), stop_rtol=1e-5)
    plan = Training(TotalVariation(), examples[:3], [loose], start=1.0)
    tight = variant(plan, stages=[replace(loose, accuracy=Accuracy(1e-7))])
    a, b = train(plan), train(tight)
    assert a.history[1].rtol == 1e-2
    assert a.history[-1].rtol == 1e-7
    assert a.theta[0] == pytest.approx(b.theta[0], abs=2e-4)


def test_history_tells_time_and_error(whole):
    for step in whole.history[1:]:
        assert {"forward", "adjoint", "contraction", "waiting", "writing", "wall"} <= set(
            step.seconds
        )
        assert step.seconds["forward"] > 0
    errors = [step.gradient_error for step in whole.history if step.method == "adam"]
    assert [e is not None for e in errors] == [True, False, True, False]
    assert [s.gradient_norm is None for s in whole.history] == [s.step == 0 for s in whole.history]
    assert whole.work.adjoint_solves == sum(s.images for s in whole.history[1:])


class Killed(Exception):
    pass


def killer(at):
    def callback(step):
        if step.step == at:
            raise Killed

    return callback


@pytest.mark.parametrize("at", [0, 1, 3, 4, 5, 7])
def test_a_killed_run_resumes_to_the_same_bits(plan, whole, tmp_path, at):
    with pytest.raises(Killed):
        train(plan, checkpoint=tmp_path, callback=killer(at))
    resumed = train(plan, checkpoint=tmp_path)
    assert resumed.resumed == at + 1
    same(resumed, whole)
    again = train(plan, checkpoint=tmp_path)
    assert again.resumed == len(whole.history)
    assert again.work.adjoint_solves == 0
    same(again, whole)


def test_several_kills_and_other_numbers_of_processes(plan, whole, tmp_path):
    for at, jobs in ((1, 2), (3, 1), (6, 3)):
        with pytest.raises(Killed):
            train(plan, executor="processes", jobs=jobs, checkpoint=tmp_path, callback=killer(at))
    same(train(plan, checkpoint=tmp_path), whole)


def test_the_number_of_processes_does_not_matter(plan, whole):
    for jobs in (2, 3):
        same(train(plan, executor="processes", jobs=jobs), whole)


@pytest.mark.parametrize("kept", [True, False])
def test_a_process_that_is_killed_is_replaced(plan, whole, tmp_path, kept, monkeypatch):
    crews, start = [], Processes.open

    def open(self, *given):
        crews.append(start(self, *given))
        return crews[-1]

    def callback(step):
        if step.step in (2, 6):
            os.kill(crews[0]._processes[step.step // 2 % 2].identity, signal.SIGKILL)

    monkeypatch.setattr(Processes, "open", open)
    trained = train(
        plan, executor=Processes(2), checkpoint=tmp_path if kept else None, callback=callback
    )
    notes = " ".join(note for step in trained.history for note in step.notes)
    assert notes.count("killed by signal 9; another one took its place") == 2
    same(trained, whole)


def test_processes_that_die_again_and_again_end_the_run(plan, monkeypatch):
    monkeypatch.setattr("sparseimplicit.executors.processes.COMMAND", "import sys; sys.exit(3)")
    with pytest.raises(SparseImplicitError, match="ended with code 3"):
        train(plan, executor="processes", jobs=2)


def test_an_error_in_a_process_is_that_of_the_problem(plan):
    bad = variant(plan, linear_solver="banded", examples=plan.examples[:2], validation=None)
    with pytest.raises(SparseImplicitError) as here:
        train(bad)
    with pytest.raises(type(here.value), match=here.value.what[:20]):
        train(bad, executor="processes", jobs=2)


def flip(path):
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 300] = bytes(byte ^ 0xFF for byte in raw[middle : middle + 300])
    path.write_bytes(raw)


@pytest.mark.parametrize("at", [3, 6])
@pytest.mark.parametrize("damaged", ["step", "states"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    plan, whole, tmp_path, at, damaged
):
    with pytest.raises(Killed):
        train(plan, checkpoint=tmp_path, callback=killer(at))
    newest = tmp_path / f"step-{at:06d}.npz"
    if damaged == "states":
        newest = max((tmp_path / "states").glob(f"{at:06d}-*.npz"))
    flip(newest)
    resumed = train(plan, checkpoint=tmp_path)
    assert resumed.resumed == at
    assert any(f"step {at} of the checkpoint is damaged" in note for note in resumed.notes)
    same(resumed, whole)


def test_a_checkpoint_damaged_beyond_use_starts_over(plan, whole, tmp_path):
    with pytest.raises(Killed):
        train(plan, checkpoint=tmp_path, callback=killer(3))
    for path in tmp_path.glob("step-*.npz"):
        flip(path)
    resumed = train(plan, checkpoint=tmp_path)
    assert resumed.resumed == 0
    same(resumed, whole)


def test_an_old_step_that_is_missing_is_named(plan, whole, tmp_path):
    with pytest.raises(Killed):
        train(plan, checkpoint=tmp_path, callback=killer(7))  # the third by L-BFGS-B
    (tmp_path / "step-000005.npz").unlink()
    resumed = train(plan, checkpoint=tmp_path)
    lacks = "of the checkpoint is whole, but step-000005.npz, which it needs, is missing"
    for number in (6, 7):
        assert any(f"step {number} {lacks}" in note for note in resumed.notes)
    assert not any("is damaged" in note for note in resumed.notes)
    assert resumed.resumed == 0
    same(resumed, whole)


@pytest.mark.parametrize("cut", ["last", "middle", "all"])
@pytest.mark.parametrize("at", [3, 7])
def test_a_history_that_was_cut_changes_no_number(plan, whole, tmp_path, at, cut):
    with pytest.raises(Killed):
        train(plan, checkpoint=tmp_path, callback=killer(at))
    path = tmp_path / "history.jsonl"
    text = path.read_bytes()
    third = text.index(b"\n", text.index(b"\n") + 1)
    path.write_bytes({"last": text[:-20], "middle": text[: third - 9] + text[third:],
                      "all": b""}[cut])  # fmt: skip
    resumed = train(plan, checkpoint=tmp_path)
    np.testing.assert_array_equal(resumed.theta, whole.theta)
    assert resumed.best_step == whole.best_step
    told = {step.step: step for step in resumed.history}
    for step in whole.history[at:]:
        assert told[step.step].value == step.value
        assert told[step.step].in_stage == step.in_stage
    assert resumed.history[-1].step == whole.history[-1].step
    lost = {step.step for step in whole.history} - set(told)
    assert all(any(str(number) in note for note in resumed.notes) for number in lost)
    if cut == "last":  # the last step is in the checkpoint, too
        assert not lost


def test_files_of_old_steps_are_removed(plan, tmp_path):
    sizes = []

    def callback(step):
        sizes.append(len(list((tmp_path / "states").glob("*.npz"))))

    train(plan, checkpoint=tmp_path, callback=callback)
    assert max(sizes) <= 10
    assert not list(tmp_path.glob("**/.*.npz.*"))
    (tmp_path / "states" / ".left-over.npz.abc").write_bytes(b"half")
    train(plan, checkpoint=tmp_path)
    assert not list(tmp_path.glob("**/.*.npz.*"))


def test_a_full_disk_leaves_the_run_so_far(plan, whole, tmp_path, monkeypatch):
    def full(path, write):
        if path.name == "step-000003.npz":
            raise ConfigError(f"{path} cannot be written: No space left on device.")
        write_atomically(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_atomically", full)
        with pytest.raises(ConfigError, match="No space left"):
            train(plan, checkpoint=tmp_path)
    resumed = train(plan, checkpoint=tmp_path)
    assert resumed.resumed == 3
    same(resumed, whole)


def test_a_folder_is_for_one_run_and_one_process_at_a_time(plan, tmp_path):
    def intrude(step):
        with pytest.raises(ConfigError, match="another process"):
            train(plan, checkpoint=tmp_path)
        raise StopIteration

    ended = train(plan, checkpoint=tmp_path, callback=intrude)
    assert ended.messages[-1] == "the callback asked to stop"
    assert not ended.converged
    for other in (variant(plan, start=[1.0, 1.6]), variant(plan, examples=plan.examples[::-1])):
        with pytest.raises(ConfigError, match="another config or other images"):
            train(other, checkpoint=tmp_path)


@pytest.mark.parametrize("stage", [Minibatch(steps=9, batch=3, rate=1.5), FullBatch()])
def test_early_stop_keeps_the_best(plan, stage, tmp_path):
    """Of a start that is nearly the best: what comes after it is worse on the images held out."""
    looks = Validation(plan.validation.examples, every=1, patience=2)
    near = variant(plan, stages=[stage], validation=looks, start=[2.4, 2.4])
    trained = train(near, checkpoint=tmp_path)
    found = [step.validation for step in trained.history]
    assert "no longer" in trained.messages[0]
    assert trained.history[-1].stops
    assert max(found) not in found[-2:]
    assert trained.best_step == int(np.argmax(found))
    assert np.mean([s.learned for s in trained.validation]) == pytest.approx(max(found), abs=0.02)
    same(train(near, checkpoint=tmp_path), trained)


def test_a_smooth_map_is_smoother(examples):
    squares = [e for e in examples if e.truth.shape == (24, 24)][:1]
    model = TotalVariation(weight="map")
    stage = FullBatch(max_iterations=6)
    rough, smooth = (
        train(Training(model, squares, [stage], regularizers=[Smooth("log_weight", w)]))
        for w in (0.0, 100.0)
    )
    jumps = [np.abs(np.diff(t.theta.reshape(24, 24), axis=1)).max() for t in (rough, smooth)]
    assert jumps[1] < 0.5 * jumps[0]
    assert rough.history[-1].value < rough.history[1].value


def test_a_first_step_moves_every_pixel_of_a_map(examples):
    squares = [e for e in examples if e.truth.shape == (24, 24)][:1]
    model = TotalVariation(weight="map")
    trained = train(Training(model, squares, [FullBatch(max_iterations=1, error_every=0)]))
    moved = trained.theta - model.start((24, 24))
    assert np.sqrt(np.mean(moved**2)) > 0.1  # of length 1 in all pixels it would be 1/24


def test_plans_that_do_not_fit(plan):
    with pytest.raises(ShapeError, match="one size"):
        variant(plan, model=TotalVariation(weight="map"), start=None)
    with pytest.raises(ShapeError, match="0 images"):
        variant(plan, examples=[])
    with pytest.raises(ShapeError, match="start has shape"):
        variant(plan, start=[1.0, 2.0, 3.0])
    with pytest.raises(ShapeError, match="no block 'filters'"):
        variant(plan, stages=[FullBatch(scales={"filters": 0.1})])
    with pytest.raises(ShapeError, match=r"start: .* = 100 is outside the bounds"):
        variant(plan, start=[0.0, 100.0])
    with pytest.raises(ShapeError, match="'adam' is no FullBatch or Minibatch"):
        variant(plan, stages=["adam"])
    with pytest.raises(ShapeError, match="'tv' is no Model"):
        variant(plan, model="tv")
    with pytest.raises(ConfigError, match="no executor 'gpu'"):
        train(plan, executor="gpu")
