"""Similar items: texts as vectors, and what baskets say of items beside each other."""
