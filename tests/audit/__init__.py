"""Tests of safelist.audit."""
