"""How it runs: the local stack, the command line, containers, Prometheus and Grafana."""
