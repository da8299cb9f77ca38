"""`python -m green_edge_agent` is `green-edge-agent`."""

from green_edge_agent.cli import entry

if __name__ == "__main__":
    entry()
