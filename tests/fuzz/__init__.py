"""
Any bytes at all into the parsers of the probe: what a hostile or broken server may send.

`make test` takes the seeds of `corpus/`, `make fuzz` lets a coverage-guided fuzzer find more.
"""
