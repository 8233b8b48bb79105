"""All bad days of a machine, in the order of the classes."""

from __future__ import annotations

from benchmarks.faults import machine, outputs, report, tracking, training

INJECTIONS = [injection for module in (report, outputs, machine, training, tracking) for injection in module.INJECTIONS]
