"""python -m benchmarks list | run NAME... | docs [--check]."""

import argparse
import sys

from benchmarks import record, runner
from green_edge_wire.errors import GreenEdgeError


def main() -> int:
    """Do what the command line says; an error is one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=runner.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name all benchmarks and what they need")
    runs = commands.add_parser("run", help="measure and record results, then write the page")
    runs.add_argument("names", nargs="+", metavar="NAME")
    docs = commands.add_parser("docs", help="write docs/benchmarks.md from the recorded results")
    docs.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    # Some benchmarks make their subjects with the test suite's builders.
    sys.path.append(str(record.ROOT / "tests"))
    try:
        return _do(arguments)
    except GreenEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _do(arguments: argparse.Namespace) -> int:
    if arguments.command == "list":
        for entry in runner.entries():
            recorded = record.path_of(entry.name)
            date = record.read(entry.name).date if recorded.is_file() else "not recorded"
            needs = f" (needs {', '.join(entry.needs)})" if entry.needs else ""
            print(f"{entry.name:24} {date:14} {entry.title}{needs}")
        return 0
    if arguments.command == "run":
        for name in arguments.names:
            found = runner.run(name)
            print(runner.markdown(found))
            print(f"\nrecorded in {record.path_of(name)}")
        runner.PAGE.write_text(runner.page(), encoding="utf-8")
        return 0
    return _docs(check=arguments.check)


def _docs(*, check: bool) -> int:
    wanted = runner.page()
    if not check:
        runner.PAGE.write_text(wanted, encoding="utf-8")
    elif not runner.PAGE.is_file() or runner.PAGE.read_text(encoding="utf-8") != wanted:
        print("docs/benchmarks.md is out of date: python -m benchmarks docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
