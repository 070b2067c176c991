"""The dashboard, by code."""
