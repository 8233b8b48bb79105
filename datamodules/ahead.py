"""Work ahead of the one who waits for it: in a thread, and on a side stream of a CUDA device."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from schema.batch import CellBatch

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None], depth: int) -> Generator[Item, None, None]:
    """Yield what a generator yields, which works `depth` items ahead in a thread of its own.

    An error of the generator reaches the caller in its place. Closing waits for the items under way.
    """
    waiting: deque[Future[Item | None]] = deque()
    pool = ThreadPoolExecutor(1)
    try:
        waiting.extend(pool.submit(next, items, None) for _ in range(depth))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item
            del item
    finally:
        pool.shutdown(cancel_futures=True)
        items.close()


def on_device(batches: Iterator[CellBatch], device: torch.device) -> Iterator[CellBatch]:
    """Yield batches on a device; on CUDA the next one is copied on a side stream while one is used.

    Gene tables, which all batches of a stream share, are copied once.
    """
    if device.type != "cuda":
        yield from batches
        return
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    tables: dict[int, torch.Tensor] = {}
    copying: deque[tuple[CellBatch, CellBatch, torch.cuda.Event]] = deque()
    for batch in batches:
        copying.append(_copied(batch, device, side, tables))
        if len(copying) > 1:
            yield _handed_over(*copying.popleft(), device)
    while copying:
        yield _handed_over(*copying.popleft(), device)


def _copied(
    batch: CellBatch, device: torch.device, side: torch.cuda.Stream, tables: dict[int, torch.Tensor]
) -> tuple[CellBatch, CellBatch, torch.cuda.Event]:
    """Begin to copy a batch; the batch in host memory must live until the event has come."""
    for table in (batch.columns, batch.present):
        if id(table) not in tables:
            tables[id(table)] = table.to(device)
    shared = {"columns": tables[id(batch.columns)], "present": tables[id(batch.present)]}
    with torch.cuda.stream(side):
        pinned = batch._replace(**{name: _pinned(getattr(batch, name)) for name in _OWN})
        moved = {name: getattr(pinned, name).to(device, non_blocking=True) for name in _OWN}
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record(side)
    return pinned, batch._replace(**moved, **shared), done


_OWN = tuple(name for name in CellBatch._fields if name not in ("columns", "present"))
"""Fields that differ from batch to batch."""


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.is_pinned() else tensor.pin_memory()


def _handed_over(pinned: CellBatch, moved: CellBatch, done: torch.cuda.Event, device: torch.device) -> CellBatch:
    """Make the device's current stream wait for a copy and own it; then the host memory may be used again."""
    stream = torch.cuda.current_stream(device)
    stream.wait_event(done)
    for name in _OWN:
        getattr(moved, name).record_stream(stream)
    done.synchronize()
    del pinned
    return moved
