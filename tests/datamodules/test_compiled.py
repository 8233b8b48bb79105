import numba
import numpy as np

from datamodules import compiled as module
from datamodules.compiled import compiled


def add_one(values):
    for i in range(values.size):
        values[i] += 1


def test_a_compiled_loop_does_what_it_says():
    values = np.arange(3)
    compiled(add_one)(values)
    assert values.tolist() == [1, 2, 3]


def test_a_machine_without_a_place_for_compiled_code_compiles_anew(monkeypatch):
    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'add_one': no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(module, "njit", lambda **options: njit(**options))
    values = np.arange(3)
    compiled(add_one)(values)
    assert values.tolist() == [1, 2, 3]
