"""The bench: the operator beside a bare loop that writes the same objects, on one real control plane."""
