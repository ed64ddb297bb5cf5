"""Measurements and pictures made on demand, not by the test suite."""
