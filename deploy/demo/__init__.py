"""The demo: the whole loop on real data, from nothing to a changed recommendation, with a report."""
