"""The real llama.cpp server with a tiny random model: a second engine that is not vLLM."""
