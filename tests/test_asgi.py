import signal
import threading

from tests.hosting.deployed import deployed, running_meter
from tests.hosting.story import one_collector_survives
from tests.program import free_port

UVICORN = ("uvicorn", "--log-level=warning", "emdc.asgi:app")


def test_one_of_two_workers_of_uvicorn_collects_and_another_takes_over() -> None:
    one_collector_survives((*UVICORN, "--workers=2", "--port={port}"), stop=signal.SIGTERM)


def test_a_long_collection_delays_no_other_request() -> None:
    port = free_port()
    with running_meter() as meter, deployed((*UVICORN, f"--port={port}"), port, meter) as server:
        assert server.ask("GET", "/topics")[0] == 200
        answers: list[tuple[int, str]] = []
        long = threading.Thread(
            target=lambda: answers.append(server.ask("POST", "/collect?iterations=3&wait_time=1"))
        )
        long.start()
        assert server.ask("GET", "/topics")[0] == 200
        assert not answers
        long.join()
        assert answers == [(200, "")]
