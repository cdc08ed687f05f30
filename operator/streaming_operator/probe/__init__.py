"""
The streaming probe: bytes with arrival times go in, a verdict with its hop, evidence and remedy comes out.

`sse`, `http1`, `timeline`, `verdict`, `remedies`, `request` and `safety` are pure; `wire` is the only
importer of sockets; `hops` is the only one that knows the order in which hops are asked. Nothing here knows
Kubernetes.
"""
