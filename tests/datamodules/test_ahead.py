import threading

import pytest

from datamodules.ahead import ahead


def test_items_come_in_order_and_once():
    assert list(ahead((i for i in range(20)), 3)) == list(range(20))


def test_work_is_done_before_it_is_asked_for():
    made = [threading.Event() for _ in range(5)]

    def items():
        for number in range(5):
            made[number].set()
            yield number

    stream = ahead(items(), 2)
    assert next(stream) == 0
    assert made[2].wait(timeout=10)
    assert not made[4].is_set()
    stream.close()


def test_an_error_comes_in_its_place():
    def items():
        yield 1
        raise ValueError("broken")

    stream = ahead(items(), 2)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_closing_ends_the_work():
    ended = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            ended.set()

    stream = ahead(items(), 2)
    next(stream)
    stream.close()
    assert ended.is_set()
    assert threading.active_count() < 20
