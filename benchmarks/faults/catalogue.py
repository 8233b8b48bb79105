"""All bad inputs, in the order of the classes."""

from __future__ import annotations

from benchmarks.faults import bundles, cells, files, genes, layouts, matrix, reach, tables, tenx, values, zarrs

INPUT_FAULTS = [
    fault
    for module in (files, matrix, layouts, tables, reach, values, genes, cells, tenx, zarrs, bundles)
    for fault in module.FAULTS
]
