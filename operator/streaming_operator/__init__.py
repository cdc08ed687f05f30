"""The StreamingEndpoint operator: LLM endpoints on Kubernetes that provably stream."""
