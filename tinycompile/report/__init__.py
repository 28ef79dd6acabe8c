"""Show what was decided: ``report.json``, whose schema is ``schema.json`` beside this module."""

from tinycompile.report.make import SCHEMA_VERSION, make_report

__all__ = ["SCHEMA_VERSION", "make_report"]
