"""What travels on Kafka: message types, topics, the codec. Needs only msgspec."""
