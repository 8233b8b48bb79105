import numpy as np
import torch

from datamodules.buffers import Buffers


def address(array):
    return array.ctypes.data


def test_memory_is_used_again_once_nobody_holds_it():
    buffers = Buffers()
    first = buffers.take(1000, np.uint16)
    place = address(first)
    del first
    assert address(buffers.take(900, np.uint16)) == place


def test_memory_that_a_tensor_or_a_part_of_it_shares_is_not_lent_again():
    buffers = Buffers()
    array = buffers.take(1000, np.float32)
    array[:] = 7
    part = torch.from_numpy(array)[10:20]
    del array
    for _ in range(5):
        buffers.take(1000, np.float32)[:] = 0
    assert part.tolist() == [7.0] * 10


def test_memory_that_is_too_small_is_replaced():
    buffers = Buffers()
    del_me = buffers.take(10, np.uint8)
    del del_me
    assert len(buffers.take(10_000, np.int32)) == 10_000
