"""The version of this package. It imports nothing, so that any module can read it; `pyproject.toml` says the same."""

__version__ = "0.1.0"
