"""
What people and pipelines get of a verification: one `Report`, as text, JSON, JUnit, HTML or metrics.

`model` is the published form, `gather` makes it of what the probe found, the other modules only print it.
Nothing here asks anybody or judges anything.
"""

from streaming_operator.report.gather import Subject, no_answer, of_results
from streaming_operator.report.model import Child, HopReport, Report, Run

__all__ = ["Child", "HopReport", "Report", "Run", "Subject", "no_answer", "of_results"]
