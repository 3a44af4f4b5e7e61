"""A Ray of this machine for one sweep: what Tune needs of it, and nothing else.

`ray.init` alone also starts an autoscaler, a dashboard and a log monitor, of which a sweep uses
none, looks once a second whether its node is there, and waits a second at the end for what has
stopped. Why this reaches into Ray, and what happens where it cannot: docs/decisions/0009.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Trials share data by memory-mapped files, not through Ray's object store: keep that small.
OBJECT_STORE_BYTES = 256 * 2**20
QUIET = {"log_to_driver": False, "logging_level": "ERROR"}
NODE = {
    "object_store_memory": OBJECT_STORE_BYTES,
    "include_dashboard": False,
}
LOOK_SECONDS = 0.01
REGISTER_SECONDS = 30.0


@contextmanager
def local_ray() -> Iterator[None]:
    """Be connected to a Ray that listens on loopback only and ends with this process."""
    import ray

    try:
        node = _bare_node()
    except (ImportError, AttributeError, TypeError):  # another Ray than we know from within
        node = None
    if node is None:
        ray.init(address="local", _node_ip_address="127.0.0.1", **NODE, **QUIET)
    try:
        if node is not None:
            ray.init(address=node.address, **QUIET)
        yield
    finally:
        ray.shutdown()
        if node is not None:
            node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)


def _bare_node() -> Any:
    """Start the two processes that schedule: Ray's control store and its raylet.

    None where Ray was imported under other settings than ours: it then looks for a node on loopback
    at this machine's outer address, and tries for ever.
    """
    from ray._private import services
    from ray._private.node import Node
    from ray._private.parameter import RayParams
    from ray._private.state import GlobalState

    if services.resolve_ip_for_localhost("127.0.0.1") != "127.0.0.1":
        return None

    class BareNode(Node):  # type: ignore[misc]
        def start_monitor(self) -> None:
            """No autoscaler: the node is all there is."""

        def start_api_server(self, **settings: Any) -> None:
            """No dashboard."""

        def start_log_monitor(self) -> None:
            """Nobody reads the workers' output: `log_to_driver` is off."""

        def start_ray_processes(self) -> None:
            super().start_ray_processes()
            state = GlobalState()
            state._initialize_global_state(services._get_gcs_client_options(self.gcs_address))
            deadline = time.monotonic() + REGISTER_SECONDS
            while not state.node_table() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)

    return BareNode(
        RayParams(node_ip_address="127.0.0.1", **NODE),
        head=True,
        shutdown_at_exit=False,  # `local_ray` does it; should this process be killed,
        spawn_reaper=True,  # the kernel does
        ray_init_cluster=True,
    )
