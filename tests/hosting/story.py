"""What must hold under every server, told once; the tests name the servers."""

import json
import signal
from collections.abc import Sequence

from tests.hosting.deployed import PREFIX, Deployment, deployed, kill, parent_of, running_meter
from tests.program import free_port, until


def one_collector_survives(command: Sequence[str], *, stop: signal.Signals) -> None:
    """Start `command`, in which {port} and {address} are put in, and take it through its life."""
    port = free_port()
    spelled = [word.format(port=port, address=f"127.0.0.1:{port}") for word in command]
    with running_meter() as meter, deployed(spelled, port, meter) as deployment:
        until(lambda: deployment.ticks() > 0)  # without any request
        answers_as_ever(deployment)
        assert meter.most_clients == 1
        a_killed_holder_is_replaced(deployment)
        a_killed_worker_is_replaced(deployment)
        assert meter.most_clients == 1
        assert json.loads(deployment.ask("GET", "/health")[1])["database"]["conflicts"] == 0
        deployment.stop(stop)
        until(lambda: not deployment.members())


def answers_as_ever(deployment: Deployment) -> None:
    """The contract with clients of the old collector, through the relay."""
    assert deployment.ask("GET", "/ping") == (200, "")
    status, text = deployment.ask("GET", "/metric?name=Voltage_AN")
    assert status == 200
    assert 200 < float(text) < 400
    assert deployment.ask("GET", f"/metric?name={PREFIX}%2FVoltage_AN")[0] == 200
    assert deployment.ask("GET", "/metric?name=Voltage")[0] == 400
    before = deployment.ticks()
    assert deployment.ask("POST", "/collect?iterations=2&wait_time=0") == (200, "")
    assert deployment.ticks() >= before + 2
    status, text = deployment.ask("POST", "/collect", Accept="application/json")
    assert (status, len(json.loads(text))) == (200, 1)
    assert deployment.ask("GET", "/collect")[0] == 405
    assert deployment.ask("HEAD", "/health") == (200, "")


def a_killed_holder_is_replaced(deployment: Deployment) -> None:
    """Another process takes the lock and collects, without any request."""
    holder = deployment.holder()
    kill(holder)
    deployment.collects_again(without=holder)
    assert deployment.ask("GET", "/ping") == (200, "")


def a_killed_worker_is_replaced(deployment: Deployment) -> None:
    """So it is when the worker is killed whose child's child holds the lock."""
    holder = deployment.holder()
    worker = parent_of(parent_of(holder))
    if worker == deployment.process.pid:
        return  # a server that is killed itself is not replaced by anyone
    kill(worker)
    deployment.collects_again(without=holder)
    assert deployment.ask("GET", "/ping") == (200, "")
