"""The clients that people use: OpenAI's SDK for Python and for Node, the AI SDK, Node's fetch, and a headless Chromium.

All of them by version and hash, without an address.
"""
