"""Lists for all customers in bulk: the recommender of the service, in this machine's processes, without Triton."""
