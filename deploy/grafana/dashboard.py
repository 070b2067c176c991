"""Write the Grafana dashboard: `python -m deploy.grafana.dashboard` makes ``headwater.json`` beside this file."""

from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders import stat as stat_panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from deploy.grafana.panels import ROWS, Panel, Query

TARGET = Path(__file__).with_name("headwater.json")
DATA_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

WIDTH = 24  # of Grafana's grid
STATS_IN_A_LINE = 8
GRAPHS_IN_A_LINE = 3


def _target(index: int, query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(ord("A") + index)).range()
    )


def _panel(panel: Panel) -> stat_panel.Panel | timeseries.Panel:
    builder: stat_panel.Panel | timeseries.Panel
    if panel.kind == "stat":
        builder = stat_panel.Panel().height(4).span(WIDTH // STATS_IN_A_LINE)
    else:
        builder = timeseries.Panel().height(8).span(WIDTH // GRAPHS_IN_A_LINE).fill_opacity(5).min(0)
    builder = builder.title(panel.title).unit(panel.unit).datasource(DATA_SOURCE)
    if panel.description:
        builder = builder.description(panel.description)
    for index, query in enumerate(panel.queries):
        builder = builder.with_target(_target(index, query))
    return builder


def build() -> str:
    """The dashboard as Grafana's JSON."""
    builder = (
        dashboard.Dashboard("Headwater")
        .uid("headwater")
        .tags(["headwater"])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for row in ROWS:
        builder = builder.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


if __name__ == "__main__":
    TARGET.write_text(build())
    print(TARGET)
