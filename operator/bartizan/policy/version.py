"""The release that this source is; a test holds it against `pyproject.toml` and the chart."""

VERSION = "0.1.0"
