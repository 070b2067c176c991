"""`headwater`: one command line; each module of `deploy.commands` is a subcommand, imported when used."""

import ast
import importlib
import os
import sys
from pathlib import Path

import click
import structlog

from deploy.stack.site import Site, read_environment

COMMANDS = Path(__file__).with_name("commands")


class Subcommands(click.Group):
    """Finds subcommands by file name and lists them by the first line of their docstring.

    Importing all of them to print a list would take seconds: one needs Kafka's client, another DuckDB.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands."""
        modules = (path.stem for path in COMMANDS.glob("*.py") if not path.stem.startswith("_"))
        return sorted(module.replace("_", "-") for module in modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand's module, imported."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"deploy.commands.{cmd_name.replace('-', '_')}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module.__name__}.command is {command!r}, not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(name)) for name in self.list_commands(ctx)])


def first_line(name: str) -> str:
    """First line of the docstring of the module behind subcommand `name`."""
    source = (COMMANDS / f"{name.replace('-', '_')}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Event-streaming recommendations: the local stack, its data and its answers."""
    # A running stack is found without being named; what the caller has set wins.
    for name, value in read_environment(Site.of(os.environ).environment_file).items():
        os.environ.setdefault(name, value)
    # What a command prints is its answer, for pipes too; what it logs is not.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


if __name__ == "__main__":
    main()
