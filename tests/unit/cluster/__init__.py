"""Tests of the cluster side that need no API server."""
