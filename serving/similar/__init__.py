"""Similar items and what is bought together: found in process, kept current by two compacted topics."""
