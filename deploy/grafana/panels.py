"""What the dashboard shows: every panel with its PromQL queries, names from `streams.contracts.observability`."""

from dataclasses import dataclass
from typing import Literal

# Long enough for a rate at a scrape every few seconds, short enough to see a change as it happens.
WINDOW = "1m"


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the legend of its series (``{{label}}`` is replaced by Grafana)."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture.

    `unit` is Grafana's name of a unit: ``s`` seconds, ``ops`` a second, ``short`` a number.
    """

    title: str
    kind: Literal["stat", "timeseries"]
    unit: str
    queries: tuple[Query, ...]
    description: str = ""


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str = "") -> str:
    """A second, over the last minute, summed over everything but the label `by`."""
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate({metric}[{WINDOW}]))"


def quantile(q: float, histogram: str, by: str = "") -> str:
    """The `q`-quantile of a histogram over the last minute."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[{WINDOW}])))"


def halves_and_tails(histogram: str, by: str = "") -> tuple[Query, ...]:
    """Median and 99th percentile."""
    suffix = f" {{{{{by}}}}}" if by else ""
    return (
        Query(quantile(0.5, histogram, by), f"p50{suffix}"),
        Query(quantile(0.99, histogram, by), f"p99{suffix}"),
    )


def stat(title: str, unit: str, expression: str, description: str = "") -> Panel:
    """One number, now."""
    return Panel(title, "stat", unit, (Query(expression),), description)


def graph(title: str, unit: str, *queries: Query, description: str = "") -> Panel:
    """Numbers over time."""
    return Panel(title, "timeseries", unit, queries, description)


GATEWAY = "headwater_gateway_request_seconds"
MODEL_AGE = "time() - max by (job) (headwater_model_trained_timestamp_seconds > 0)"

ROWS = (
    Row(
        "Now",
        (
            stat("Processes ready", "short", "sum(headwater_ready)", "Stream workers, trainer, serving, gateway."),
            stat("Events", "ops", rate("headwater_events_total")),
            stat("Events waiting", "short", "sum(headwater_ingest_lag)"),
            stat(
                "Partitions refused",
                "short",
                "sum(headwater_ingest_refused) or vector(0)",
                "Not taken up until somebody decides what to do; `headwater status` says why.",
            ),
            stat("Event to features, p50", "s", quantile(0.5, "headwater_event_age_seconds")),
            stat("Requests", "ops", rate("headwater_requests_total")),
            stat("Request to reply, p50", "s", quantile(0.5, "headwater_request_seconds")),
            stat("Request to reply, p99", "s", quantile(0.99, "headwater_request_seconds")),
            stat("Model version", "short", 'max(headwater_model_version{job="serving"})'),
        ),
    ),
    Row(
        "Events",
        (
            graph("Events", "ops", Query(rate("headwater_events_total", "outcome"), "{{outcome}}")),
            graph(
                "Events not yet applied",
                "short",
                Query("sum by (partition) (headwater_ingest_lag)", "partition {{partition}}"),
            ),
            graph(
                "Freshness",
                "s",
                *halves_and_tails("headwater_event_age_seconds"),
                description="From an event's arrival in Kafka to its features being written.",
            ),
            graph(
                "Lost and read again",
                "short",
                Query("sum(headwater_reread_total) or vector(0)", "records that Redis had lost"),
                Query("sum(headwater_lost_offsets_total) or vector(0)", "offsets gone before they were read"),
                description="Since the workers started, all topics and partitions.",
            ),
            graph("Applying a batch", "s", *halves_and_tails("headwater_batch_seconds")),
            graph(
                "Rows written",
                "ops",
                Query(rate("headwater_store_rows_total", "view"), "{{view}}"),
                Query(rate("headwater_offline_rows_total"), "offline store"),
            ),
            graph(
                "Dead letters",
                "short",
                Query("sum by (reason) (headwater_dead_letters_total)", "{{reason}}"),
                description="Records that could not be used, since the workers started.",
            ),
        ),
    ),
    Row(
        "Requests",
        (
            graph("Answers", "ops", Query(rate("headwater_requests_total", "status"), "{{status}}")),
            graph(
                "Request to reply",
                "s",
                *halves_and_tails("headwater_request_seconds"),
                description="From the request's Kafka timestamp.",
            ),
            graph(
                "Median by stage",
                "s",
                Query(quantile(0.5, "headwater_request_stage_seconds", "stage"), "{{stage}}"),
            ),
            graph(
                "99th percentile by stage",
                "s",
                Query(quantile(0.99, "headwater_request_stage_seconds", "stage"), "{{stage}}"),
            ),
            graph(
                "Fallbacks",
                "short",
                Query("sum by (reason) (headwater_fallbacks_total)", "{{reason}}"),
                description="Answers without the full model, since serving started.",
            ),
            graph(
                "Requests not yet answered",
                "short",
                Query("sum by (partition) (headwater_request_lag)", "partition {{partition}}"),
            ),
        ),
    ),
    Row(
        "Gateway",
        (
            graph(
                "HTTP requests", "ops", Query(rate("headwater_gateway_request_seconds_count", "status"), "{{status}}")
            ),
            graph(
                "Median by route", "s", Query(quantile(0.5, "headwater_gateway_request_seconds", "route"), "{{route}}")
            ),
            graph(
                "99th percentile by route",
                "s",
                Query(quantile(0.99, GATEWAY, "route"), "{{route}}"),
            ),
            graph(
                "Waiting for an answer",
                "short",
                Query("max by (queue) (headwater_gateway_queue)", "{{queue}}"),
                description="What comes when too many wait is told to come back later.",
            ),
        ),
    ),
    Row(
        "Similar items",
        (
            graph(
                "Questions about an item",
                "ops",
                Query(rate("headwater_similar_seconds_count", "question"), "{{question}}"),
            ),
            graph(
                "Answering inside the process",
                "s",
                *halves_and_tails("headwater_similar_seconds", "question"),
            ),
            graph(
                "What speaks for the items shown",
                "ops",
                Query(rate("headwater_similar_shown_total", "why"), "{{why}}"),
                description="Text, bought together, bought instead; popular where all these say too little.",
            ),
            graph(
                "Items that are found",
                "short",
                Query("max(headwater_similar_vectors)", "by their text"),
                Query("max(headwater_similar_lists)", "by their baskets"),
                Query("max(headwater_similar_due)", "changed, vector not yet published"),
            ),
            graph(
                "Counting the baskets",
                "s",
                Query(
                    "sum(headwater_similar_count_seconds_sum) / sum(headwater_similar_count_seconds_count)",
                    "mean of a count",
                ),
            ),
            graph(
                "Looks for new baskets",
                "short",
                Query("sum by (outcome) (headwater_similar_counts_total)", "{{outcome}}"),
                Query("sum(headwater_similar_published_total)", "items whose neighbours were published"),
                description="Since the similarity process started.",
            ),
        ),
    ),
    Row(
        "Models",
        (
            graph("Version that is live", "short", Query("max by (job) (headwater_model_version)", "{{job}}")),
            graph("Age of the live model", "s", Query(MODEL_AGE, "{{job}}")),
            graph("Training triggers", "short", Query("sum by (reason) (headwater_triggers_total)", "{{reason}}")),
            graph(
                "Training runs",
                "short",
                Query("sum by (outcome) (headwater_training_runs_total)", "{{outcome}}"),
            ),
            graph(
                "Training, mean by phase",
                "s",
                Query(
                    "sum by (phase) (headwater_training_seconds_sum) "
                    "/ sum by (phase) (headwater_training_seconds_count)",
                    "{{phase}}",
                ),
            ),
            graph(
                "Inferences on Triton",
                "ops",
                Query(rate("nv_inference_request_success", "model"), "{{model}}"),
            ),
        ),
    ),
)


def queries() -> list[str]:
    """Every PromQL expression of the dashboard."""
    return [query.expression for row in ROWS for panel in row.panels for query in panel.queries]
