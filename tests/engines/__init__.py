"""Model servers for tests: the fast double and the real vLLM on CPU, behind one way to start them."""
