import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparseimplicit import errors
from sparseimplicit.packing import Packing

packing = Packing(weights=8, filters=(8, 25), epsilon=(), none=0)


@given(shapes=st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=5))
def test_unpack_is_the_inverse_of_pack(shapes):
    rng = np.random.default_rng(0)
    blocks = {f"b{k}": rng.standard_normal(shape) for k, shape in enumerate(shapes)}
    p = Packing(**{name: block.shape for name, block in blocks.items()})
    x = p.pack(**blocks)
    np.testing.assert_array_equal(
        x, np.concatenate([np.zeros(0), *(b.ravel() for b in blocks.values())])
    )
    for name, block in p.unpack(x).items():
        np.testing.assert_array_equal(block, blocks[name])


def test_size_and_order_do_not_depend_on_the_order_of_values():
    x = packing.pack(epsilon=0.5, none=[], filters=np.ones((8, 25)), weights=np.arange(8))
    assert packing.size == x.size == 8 + 200 + 1
    np.testing.assert_array_equal(x[:8], np.arange(8))
    assert x[-1] == 0.5
    assert list(packing.unpack(x)) == ["weights", "filters", "epsilon", "none"]


def test_blocks_are_views_by_key_and_by_attribute():
    x = np.zeros(packing.size)
    blocks = packing.unpack(x)
    blocks.filters[3, 7] = 1.0
    blocks["epsilon"][...] = 2.0
    assert blocks.filters.shape == (8, 25)
    assert blocks["weights"] is blocks.weights
    assert np.flatnonzero(x).tolist() == [8 + 3 * 25 + 7, 208]
    with pytest.raises(AttributeError, match="no block 'bias'; there are: weights, filters"):
        _ = blocks.bias


def test_complex_steps_pass_through():
    x = np.zeros(packing.size, dtype=complex)
    x[208] = 1e-100j
    assert packing.unpack(x).epsilon == 1e-100j


def test_index_and_slice_and_describe_agree():
    x = np.arange(packing.size)
    for name in packing.shapes:
        np.testing.assert_array_equal(x[packing.slice(name)], packing.index(name).ravel())
        np.testing.assert_array_equal(packing.unpack(x)[name], packing.index(name))
    assert packing.describe(packing.index("filters")[3, 7]) == "filters[3, 7]"
    assert packing.describe(int(packing.index("epsilon"))) == "epsilon"
    assert packing.describe(0) == "weights[0]"


@pytest.mark.parametrize("i", [-1, 209])
def test_no_such_entry(i):
    with pytest.raises(errors.ShapeError, match=f"no entry {i}"):
        packing.describe(i)


def test_what_does_not_fit_is_named():
    good = {"weights": np.ones(8), "filters": np.ones((8, 25)), "epsilon": 1.0, "none": []}
    with pytest.raises(errors.ShapeError, match=r"no block 'bias'.*\n.*\n.*weights, filters"):
        packing.pack(**good, bias=1.0)
    with pytest.raises(errors.ShapeError, match="no value for weights, epsilon"):
        packing.pack(filters=good["filters"], none=[])
    with pytest.raises(errors.ShapeError, match=r"'filters' has shape \(25, 8\), .* \(8, 25\)"):
        packing.pack(**good | {"filters": np.ones((25, 8))})
    with pytest.raises(errors.ShapeError, match="'epsilon' is complex"):
        packing.pack(**good | {"epsilon": 1j})
    with pytest.raises(errors.ShapeError, match="'epsilon' is no array of numbers"):
        packing.pack(**good | {"epsilon": "wide"})
    filters = np.ones((8, 25))
    filters[3, 7] = np.nan
    with pytest.raises(errors.NonFinite, match=r"filters\[3, 7\] is nan"):
        packing.pack(**good | {"filters": filters})
    with pytest.raises(errors.ShapeError, match=r"x has shape \(7,\).*filters=\(8, 25\)"):
        packing.unpack(np.zeros(7))
    with pytest.raises(errors.ShapeError, match="no block 'bias'"):
        packing.index("bias")


@pytest.mark.parametrize("shape", [-1, 2.0, (2, -1), [2, 3], (2, "x"), True, None])
def test_shapes_that_are_none(shape):
    with pytest.raises(errors.ShapeError, match="shape of block 'filters'"):
        Packing(filters=shape)


@pytest.mark.parametrize("name", ["keys", "values", "items", "get", "_views", "__len__"])
def test_names_that_the_mapping_needs(name):
    with pytest.raises(errors.ShapeError, match="cannot be called"):
        Packing(**{name: 1})
