import threading

import numpy as np

from datamodules.scratch import Scratch


def test_memory_of_a_name_is_used_again():
    scratch = Scratch()
    first = scratch.take("a", 100, np.int64)
    first[:] = 7
    again = scratch.take("a", 50, np.int64)
    assert (again.dtype, again.tolist()) == (np.int64, [7] * 50)
    assert np.shares_memory(first, again)
    assert not np.shares_memory(first, scratch.take("b", 100, np.int64))
    assert not np.shares_memory(first, scratch.take("a", 1000, np.int64))


def test_numbers_of_another_type_lie_elsewhere():
    scratch = Scratch()
    assert not np.shares_memory(scratch.take("a", 10, np.float32), scratch.take("a", 10, np.dtype(">f4")))


def test_threads_do_not_share():
    scratch, others = Scratch(), []
    mine = scratch.take("a", 10, np.int64)
    thread = threading.Thread(target=lambda: others.append(scratch.take("a", 10, np.int64)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, others[0])
    assert np.shares_memory(mine, scratch.take("a", 10, np.int64))
