"""A fast double of the vLLM server: its flags, its bytes on the wire, its metrics, its ways to end; no model.

Runs as `python -m tests.engines.double serve MODEL ...`, and from a copy of this directory alone as
`python3 -m double serve MODEL ...`, so nothing here imports from outside it. What it imitates is vLLM 0.32
(0.33 where the two agree); tests/contract/test_engine_wire.py runs the same checks against both and keeps it
honest.
"""
