from __future__ import annotations

import threading
from functools import partial

import pytest

from fvlm_data.segment.side_by_side import side_by_side


def test_results_come_in_order_though_the_first_ends_last():
    second = threading.Event()

    def first() -> int:
        assert second.wait(60)
        return 1

    def other() -> int:
        second.set()
        return 2

    assert list(side_by_side([first, other, lambda: 3], 2)) == [1, 2, 3]


def test_what_one_raises_ends_all_and_nothing_more_is_begun():
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 0:
            raise ValueError("no weights")
        return number

    with pytest.raises(ValueError, match="no weights"):
        list(side_by_side([partial(work, number) for number in range(20)], 2))
    assert len(begun) <= 4


def test_one_thread_is_this_thread():
    assert list(side_by_side([threading.get_ident], 1)) == [threading.get_ident()]
