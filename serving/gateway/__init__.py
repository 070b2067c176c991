"""The gateway: Headwater over HTTP. Publishes to the shop's topics, answers from the same core as the consumer."""
