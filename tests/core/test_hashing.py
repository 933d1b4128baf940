from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fvlm_data.hashing import array_sha256, content_key

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES))
def test_order_of_a_mapping_does_not_change_the_key(values: dict[str, Any]):
    assert content_key(values) == content_key(dict(reversed(values.items())))


def test_key_is_the_hash_of_canonical_json():
    text = b'[1,{"a":"\\u00fc","b":[1.5,null]}]'
    assert content_key(1, {"b": (1.5, None), "a": "ü"}) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    ("one", "other"),
    [((1,), ("1",)), (("a", "b"), ("ab",)), (([1], 2), (1, [2])), ((None,), ()), ((1,), (1.5,))],
)
def test_different_parts_have_different_keys(one: Any, other: Any):
    assert content_key(*one) != content_key(*other)


def test_what_has_no_fixed_order_is_refused():
    with pytest.raises(TypeError):
        content_key({1, 2})


@given(hnp.arrays(st.sampled_from(["<i2", "<f8", "u1", "?"]), hnp.array_shapes(max_dims=3)))
def test_memory_layout_does_not_change_the_hash(array: Any):
    fortran = np.asfortranarray(array)
    swapped = array.astype(array.dtype.newbyteorder(">"))
    strided = np.repeat(array, 2, axis=0)[::2]
    assert len({array_sha256(a) for a in (array, fortran, swapped, strided)}) == 1


def test_shape_type_and_value_change_the_hash():
    zeros = np.zeros((2, 3), np.int16)
    others = [zeros.T, zeros.ravel(), zeros.astype(np.int32), zeros + 1, zeros[:0]]
    assert len({array_sha256(a) for a in (zeros, *others)}) == 6
    assert array_sha256(zeros, zeros) != array_sha256(zeros)
