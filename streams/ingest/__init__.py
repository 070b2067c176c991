"""The hot path: interactions from Kafka into the online store, the changelogs and the offline store."""
