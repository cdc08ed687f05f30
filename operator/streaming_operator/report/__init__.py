"""
The report of a verification, for people and pipelines: one `Report`, as text, JSON, JUnit, HTML or metrics.

`model` is its published form, `gather` makes it from the probe's results, the other modules print it. Nothing here
sends a request or judges a result.
"""

from streaming_operator.report.gather import Subject, of_results, without_stream
from streaming_operator.report.model import Child, HopReport, Report, Run

__all__ = ["Child", "HopReport", "Report", "Run", "Subject", "of_results", "without_stream"]
