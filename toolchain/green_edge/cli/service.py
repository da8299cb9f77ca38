"""The services of `up` and `demo` composed: broker, collector, rollouts, artefacts, dashboard."""

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp

from green_edge.dashboard.app import create_app
from green_edge.fleet import artefacts
from green_edge.fleet.agentconfig import agent_toml
from green_edge.fleet.driver import RolloutDriver
from green_edge.fleet.embedded import EmbeddedBroker
from green_edge.fleet.engines import KindWish
from green_edge.fleet.http import HttpServer, RequireToken
from green_edge.fleet.memory import save_port, saved_port, saved_token
from green_edge.fleet.ports import advertised, bind, broker_port, is_loopback, port_of, url_host
from green_edge.fleet.private_files import private_folder
from green_edge.fleet.runfile import RunFile, only_one, write_run
from green_edge.telemetry.collector import Collector, Listeners
from green_edge.telemetry.opening import open_store
from green_edge.telemetry.store import Store
from green_edge_agent.transport.mqtt import MqttTransport, check_broker
from green_edge_agent.transport.url import parse_broker_url
from green_edge_wire.clock import Clock

DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """What to start and where.

    Attributes:
        state: folder of our own files: run file, broker, artefacts, credentials.
        store: URL or path of the store.
        site: first level of the devices' topics, for the settings that are printed.
        host: address to bind.
        port: of dashboard and artefact server; 0 takes a free one.
        broker_port: of the embedded broker; None takes the one it had last.
        broker_kind: which program the embedded broker is.
        broker: URL of a broker that runs already; then none is embedded.
        artefacts: URL of an artefact server that runs already; then none is served.
        token: that lets upload; None makes one that is kept.
    """

    state: Path
    store: str
    site: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    broker_port: int | None = None
    broker_kind: KindWish = "auto"
    broker: str | None = None
    artefacts: str | None = None
    token: str | None = None


class FleetService:
    """Everything of the workstation that has to run for devices to be looked after.

    A context manager: inside of the block all answers, after it nothing of it is left.

    Args:
        plan: what to start and where.
        clock: of this machine.
        say: told in one line of what a person should know, also from other threads.
    """

    def __init__(self, plan: ServicePlan, *, clock: Clock, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._clock = clock
        self._say = say
        self._stack = ExitStack()
        self._embedded: EmbeddedBroker | None = None
        self._run: RunFile | None = None
        self._collector: Collector | None = None

    @property
    def run(self) -> RunFile:
        """Where everything is."""
        if self._run is None:
            raise RuntimeError("the service has not started")
        return self._run

    @property
    def collecting(self) -> bool:
        """Whether what devices send is still taken and kept."""
        return self._collector is not None and self._collector.alive

    @property
    def embedded(self) -> EmbeddedBroker | None:
        """The broker of our own, where there is one."""
        return self._embedded

    def device_settings(
        self,
        device_id: str,
        keys: Sequence[str],
        *,
        state_dir: str = "/var/lib/green-edge",
        input_kind: str = "mqtt",
        input_path: str | None = None,
    ) -> str:
        """Text of the agent.toml of a device, which is let in at the embedded broker.

        Args:
            device_id: of the device.
            keys: public keys that it should trust.
            state_dir: folder on the device.
            input_kind: where its inputs come from.
            input_path: of the file or folder of some inputs.
        """
        embedded = self._embedded
        return agent_toml(
            site=self._plan.site,
            device_id=device_id,
            broker=embedded.address if embedded else str(parse_broker_url(self.run.broker)),
            credential=embedded.credential(device_id) if embedded else None,
            keys=keys,
            state_dir=state_dir,
            input_kind=input_kind,
            input_path=input_path,
        )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._embedded is not None:
            self._embedded.expect_end()
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        plan = self._plan
        private_folder(plan.state)
        stack.enter_context(only_one(plan.state))
        token = plan.token or saved_token(plan.state)
        # The door first: a taken port should be known before anything has started.
        listener = stack.enter_context(
            bind(plan.host, plan.port, what="the web server", option="--port")
        )
        store = stack.enter_context(closing(open_store(plan.store)))
        broker = plan.broker or self._start_broker(stack)
        self._start_collector(stack, store, broker)
        stack.enter_context(HttpServer(self._application(store, token), listener))
        base = f"http://{url_host(advertised(plan.host))}:{port_of(listener)}"
        self._run = _run_file(plan, broker, base, token)
        write_run(plan.state, self._run)

    def _start_broker(self, stack: ExitStack) -> str:
        plan = self._plan
        folder = private_folder(plan.state / "broker")
        port = broker_port(plan.broker_port, saved_port(folder), plan.host)
        embedded = EmbeddedBroker(folder, plan.host, port, plan.broker_kind, say=self._say)
        stack.enter_context(embedded)
        save_port(folder, embedded.port)
        self._embedded = embedded
        return embedded.url

    def _start_collector(self, stack: ExitStack, store: Store, broker: str) -> None:
        url = parse_broker_url(broker, place="--broker")
        check_broker(url)
        transport = MqttTransport(url, f"ge-host-{secrets.token_hex(4)}")
        driver = RolloutDriver(store, transport, self._clock)
        listeners = Listeners(on_reported=driver.reported, on_tick=driver.tick)
        collector = Collector(transport, store, self._clock, listeners=listeners)
        # Ended in reverse: the collector's last acknowledgements still need the connection.
        stack.callback(transport.stop)
        collector.start()
        self._collector = collector
        stack.callback(collector.stop)
        transport.start(will=None, on_connect=driver.reconnected)

    def _application(self, store: Store, token: str) -> ASGIApp:
        plan = self._plan
        served = plan.artefacts is None
        routes = artefacts.routes(plan.state / "artefacts", token) if served else []
        app = create_app(store, clock=self._clock, extra_routes=routes)
        return app if is_loopback(plan.host) else RequireToken(app, token)


def _run_file(plan: ServicePlan, broker: str, base: str, token: str) -> RunFile:
    return RunFile(
        pid=os.getpid(),
        site=plan.site,
        broker=broker,
        store=plan.store,
        artefacts=(plan.artefacts or base).rstrip("/"),
        dashboard=base,
        token=token,
    )
