import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.hosting.deployed import ROOT, deployed, environment, kill, parent_of, running_meter
from tests.hosting.story import one_collector_survives
from tests.program import PATIENCE_S, free_port, until

UWSGI = ("uwsgi", "--http", "{address}", "--processes", "3", "--die-on-term")
GUNICORN = ("gunicorn", "--no-control-socket", "--bind", "{address}")


def test_one_of_three_sync_workers_of_gunicorn_collects_and_another_takes_over() -> None:
    command = (*GUNICORN, "--workers=3", f"--pythonpath={ROOT}", "wsgi_main")
    one_collector_survives(command, stop=signal.SIGTERM)


def test_workers_of_gunicorn_that_are_forked_after_the_import_collect_once() -> None:
    command = (*GUNICORN, "--preload", "--workers=2", "--threads=2", "emdc.wsgi")
    one_collector_survives(command, stop=signal.SIGTERM)


def test_one_of_three_processes_of_uwsgi_collects_and_another_takes_over() -> None:
    command = (*UWSGI, "--master", "--wsgi-file", str(ROOT / "wsgi_main.py"))
    one_collector_survives(command, stop=signal.SIGTERM)


def test_processes_of_uwsgi_that_import_for_themselves_collect_once() -> None:
    command = (*UWSGI, "--master", "--lazy-apps", "--module", "emdc.wsgi")
    one_collector_survives(command, stop=signal.SIGTERM)


def test_processes_of_uwsgi_without_a_master_collect_once() -> None:
    one_collector_survives((*UWSGI, "--module", "emdc.wsgi"), stop=signal.SIGINT)


def test_a_killed_holder_is_replaced_when_there_is_a_single_process_without_threads() -> None:
    port = free_port()
    command = ("uwsgi", "--http", f"127.0.0.1:{port}", "--module", "emdc.wsgi")
    with running_meter() as meter, deployed(command, port, meter) as deployment:
        until(lambda: deployment.ticks() > 0)
        holder = deployment.holder()
        kill(holder)
        deployment.collects_again(without=holder)


def test_a_killed_keeper_is_replaced_at_the_next_request() -> None:
    port = free_port()
    command = ("gunicorn", "--no-control-socket", f"--bind=127.0.0.1:{port}", "emdc.wsgi")
    with running_meter() as meter, deployed(command, port, meter) as deployment:
        until(lambda: deployment.ticks() > 0)
        holder = deployment.holder()
        keeper = parent_of(holder)
        kill(keeper)
        until(lambda: holder not in deployment.members())
        assert deployment.ask("GET", "/topics")[0] == 200
        deployment.collects_again(without=holder)
        assert keeper not in deployment.members()


def test_clients_are_told_why_the_collector_cannot_start_and_it_starts_when_that_is_mended() -> (
    None
):
    port = free_port()
    lost = "--env=UWSOLAR_PANEL_METRICS_WORKBOOK=lost.xlsx"
    command = ("gunicorn", "--no-control-socket", f"--bind=127.0.0.1:{port}", lost, "emdc.wsgi")
    with running_meter() as meter, deployed(command, port, meter) as deployment:
        for method, path in (("POST", "/collect"), ("GET", "/health")):
            status, text = deployment.ask(method, path)
            assert status == 503
            assert "lost.xlsx" in text
        assert deployment.ask("GET", "/ping") == (200, "")
        shutil.copy(ROOT / "src/emdc/meters/maps/nexus-1272.xlsx", deployment.folder / "lost.xlsx")
        until(lambda: deployment.ticks() > 0)


def test_settings_that_cannot_be_used_fail_at_the_import() -> None:
    folder = Path(tempfile.mkdtemp(prefix="emdc-"))
    env = environment(folder, 502) | {"UWSOLAR_PANEL_MODBUS_RETRIES": "many"}
    del env["UWSOLAR_PANEL_HOST"]
    done = subprocess.run(
        [sys.executable, "-c", "import emdc.wsgi"],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    shutil.rmtree(folder)
    assert done.returncode == 1
    assert "UWSOLAR_PANEL_MODBUS_RETRIES: 'many', expected a whole number" in done.stderr
    assert "--panel_host: missing" in done.stderr


def test_the_file_at_the_root_works_in_a_checkout_that_is_not_installed() -> None:
    # Without site the packages are found and the link to this checkout is not.
    packages = sysconfig.get_path("purelib")
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import wsgi_main"],
        cwd=ROOT,
        env={"PYTHONPATH": packages},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "ConfigError: no meter is configured" in done.stderr
