"""A client of the Kubernetes API that knows no endpoint: requests, credentials, informers, port-forward."""
