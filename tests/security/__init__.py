"""What no resource, pod or answer of one tenant can do to another, or to the operator."""
