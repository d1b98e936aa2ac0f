import numpy as np
import pytest

from sparseimplicit.kernels import vectors
from tests.reference import vectors as twin


def arrays(n, k, count):
    rng = np.random.default_rng(n + k)
    return [rng.standard_normal((n, k)) for _ in range(count)]


@pytest.mark.parametrize("diagonal", [vectors.NOTHING, np.linspace(1.0, 2.0, 137)], ids=len)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("form", ["serial", "parallel", "python"])
def test_against_the_twins(form, k, diagonal):
    def kernel(name):
        plain = getattr(vectors, f"_{name}")
        chosen = {"serial": plain, "parallel": getattr(vectors, f"_{name}_parallel")}
        return chosen.get(form, plain.py_func)

    p, q, x, r = arrays(137, k, 4)
    partial = np.zeros((1, k))
    kernel("dots")(p.reshape(-1), q.reshape(-1), k, partial)
    np.testing.assert_allclose(partial[0], twin.dots(p, q), rtol=1e-12)

    alpha = np.linspace(0.5, 2.0, k)
    x_expected, r_expected = twin.step(alpha, p, q, x, r)
    partial, weighted = np.zeros((2, 1, k))
    flat = [v.reshape(-1) for v in (p, q, x, r)]
    kernel("step")(alpha, *flat, diagonal, k, partial, weighted)
    np.testing.assert_allclose(x, x_expected, rtol=1e-14)
    np.testing.assert_allclose(r, r_expected, rtol=1e-13)
    np.testing.assert_allclose(partial[0], twin.dots(r, r), rtol=1e-12)
    scale = diagonal[:, None] if diagonal.size else 0.0
    np.testing.assert_allclose(weighted[0], twin.dots(r, scale * r), rtol=1e-12)

    expected = twin.direction(alpha, scale * q if diagonal.size else q, p)
    kernel("direction")(alpha, flat[1], flat[0], diagonal, k)
    np.testing.assert_allclose(p, expected, rtol=1e-14)


@pytest.mark.parametrize("shorten", [vectors._shorten, vectors._shorten.py_func])
def test_vectors_are_made_no_longer_than_one(shorten):
    (p,) = arrays(3, 50, 1)
    p[:, 0], p[1, 1] = 0.0, np.nan
    expected = twin.shorten(p)
    shorten(p)
    np.testing.assert_allclose(p, expected, rtol=1e-15)


@pytest.mark.parametrize("k", [1, 2])
def test_sums_have_the_same_bits_in_parallel(monkeypatch, k):
    a, b = arrays(vectors.CHUNK * 5 + 11, k, 2)
    results = []
    for limit in (1, 10**9):
        monkeypatch.setattr(vectors, "PARALLEL_ROWS", limit)
        x, r = a.copy(), b.copy()
        sums = vectors.step(np.full(k, 0.3), b, a, x, r, np.abs(a[:, 0]))
        results.append((vectors.dots(a, b), *sums, x, r))
    for serial, parallel in zip(*results, strict=True):
        np.testing.assert_array_equal(serial, parallel)


def test_dot_of_vectors_and_of_nothing():
    a = np.arange(5.0)
    assert vectors.dot(a, a) == 30.0
    assert vectors.dot(np.zeros(0), np.zeros(0)) == 0.0


@pytest.mark.parametrize("form", ["serial", "parallel", "python"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_one_entry_that_is_not_finite_is_found(monkeypatch, form, bad):
    monkeypatch.setattr(vectors, "PARALLEL_ROWS", 1 if form == "parallel" else 10**9)
    if form == "python":
        monkeypatch.setattr(vectors, "_nothings", vectors._nothings.py_func)
    a = np.full(2 * vectors.CHUNK + 5, 1.7e308)  # a sum of them would not be finite
    if bad is not None:
        a[-2] = bad
    assert vectors.finite(a) == bool(np.isfinite(a).all())
    assert vectors.finite(a[:0])


@pytest.mark.parametrize("limit", [1, 10**9])
def test_a_fingerprint_is_of_every_bit(monkeypatch, limit):
    monkeypatch.setattr(vectors, "PARALLEL_ROWS", limit)
    a = arrays(vectors.CHUNK * 2 + 5, 1, 1)[0][:, 0]
    first = vectors.fingerprint(a)
    words = a.view(np.uint64)
    expected = [twin.mixed(words[c * vectors.CHUNK :][: vectors.CHUNK]) for c in range(3)]
    assert np.frombuffer(first, np.uint64).tolist() == expected
    others = []
    for change in (
        lambda b: b.__setitem__([3, 4], -b[[3, 4]]),  # two of the highest bits
        lambda b: b.__setitem__([3, 4], b[[4, 3]]),
        lambda b: b.__setitem__(-1, np.nextafter(b[-1], 9.0)),
        lambda b: b.__setitem__(0, 0.0),
        lambda b: b.__setitem__(0, -0.0),
    ):
        other = a.copy()
        change(other)
        others.append(vectors.fingerprint(other))
    assert len({first, *others}) == 6
    assert vectors.fingerprint(np.repeat(a, 2)[::2]) == first
