"""Contracts between what we rely on and what we test with."""
