"""A JupyterHub that only this machine can reach, in a folder of its own, with a password of its own; ended at the end.

Not for teaching: all students' servers run as the user who started it. What they cost is the same.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.hub_usage import MARK, marked

__all__ = ["KERNEL", "PASSED_ON", "Failure", "Hub", "config", "free_ports", "kernel", "prepare", "proxy"]

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"
KERNEL = "course"
PACKAGES = ("jupyterhub>=5.3", "jupyterlab>=4.4,<5")  # the same JupyterLab as pyproject.toml's
PROXY = "configurable-http-proxy"
PASSED_ON = ("COURSE_DATA", "CIFAR10_DIR")  # from whoever measures to the kernels
UP_SECONDS, DOWN_SECONDS, ASKED_SECONDS = 60, 30, 5
CONFIG = """\
# Written for one measurement. No secret stands here: they come in the environment.
import os
import signal
import sys
import threading

# The other end of the standard input closes when the measurement ends, however it does; then so does the hub.
threading.Thread(target=lambda: (sys.stdin.read(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()

c.JupyterHub.bind_url = {bind_url!r}
c.JupyterHub.hub_ip = {address!r}
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = {api_url!r}
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.log_level = "WARN"
c.ConfigurableHTTPProxy.log_level = "error"

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ.pop("COURSE_HUB_PASSWORD")
c.Authenticator.allowed_users = set({students!r})

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.ip = {address!r}
c.Spawner.cmd = {server!r}
c.Spawner.default_url = "/lab"
c.Spawner.environment = {environment!r}
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
"""


class Failure(Exception):
    """Something that stops the measurement; its text is the one line the user sees."""


def prepare(venv: Path, kind: str) -> None:
    """Makes the environment with JupyterHub and a proxy (`kind`: npm or pypi); one that is there stays as it is."""
    if not venv.exists():
        print("[hub] installing JupyterHub into an environment of its own ...", flush=True)
        pip = [str(venv / "bin" / "pip"), "install", "--quiet", *PACKAGES, *([PROXY] if kind == "pypi" else [])]
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(venv / "node"), PROXY]
        commands = [[sys.executable, "-m", "venv", str(venv)], pip, *([npm] if kind == "npm" else [])]
        try:
            for command in commands:
                _install(command)
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)  # half an environment would be taken for a whole one
            raise
    if not (venv / "bin" / "jupyterhub-singleuser").exists():
        wanted = " ".join(f"'{name}'" for name in PACKAGES)
        raise Failure(
            f"{venv} has no JupyterHub. Install it there: {venv}/bin/pip install {wanted}, or leave --venv away"
        )
    proxy(venv)


def _install(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise Failure(f"there is no {command[0]} here: install Node.js with npm, or try --proxy pypi") from None
    if done.returncode:
        reason = (done.stdout.strip().splitlines() or ["no reason given"])[-1]
        raise Failure(f"could not install JupyterHub ({reason}). Is there a network? Or name an environment: --venv")


def proxy(venv: Path) -> tuple[str, Path]:
    """Which proxy an environment has: JupyterHub's own for Node ("npm"), else its port to Python ("pypi")."""
    for kind, folder in (("npm", venv / "node" / "node_modules" / ".bin"), ("pypi", venv / "bin")):
        if (folder / PROXY).exists():
            return kind, folder / PROXY
    raise Failure(f"{venv} has no {PROXY}. Install it there: {venv}/bin/pip install {PROXY}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((ADDRESS, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def config(venv: Path, work: Path, ports: Sequence[int], students: Sequence[str], environment: Mapping) -> str:
    """The text of jupyterhub_config.py. `ports`: of the door, of the hub behind it, of the proxy's own interface."""
    arguments = ["--log-level=ERROR", "--KernelManager.transport_encryption=auto"]
    if os.geteuid() == 0:
        arguments.append("--allow-root")
    return CONFIG.format(
        address=ADDRESS,
        bind_url=f"http://{ADDRESS}:{ports[0]}",
        hub_port=ports[1],
        api_url=f"http://{ADDRESS}:{ports[2]}",
        proxy=[str(proxy(venv)[1])],
        students=list(students),
        homes=str(work / "homes" / "{username}"),
        server=[str(venv / "bin" / "jupyterhub-singleuser"), *arguments],
        environment=dict(environment),
    )


def kernel(python: str) -> dict:
    """The kernel's specification: the course's Python, and the `utils` of this repository."""
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    settings = {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}
    metadata = {"supported_encryption": ["curve"]}  # else it would talk with its server in plain text
    return {"argv": argv, "display_name": "The course", "language": "python", "env": settings, "metadata": metadata}


class Hub:
    """A running hub, from `with` to its end.

    Attributes:
        url: its door, without a slash at the end.
        password: every student's.
        mark: what its processes carry (see hub_usage).
    """

    def __init__(self, venv: Path, python: str, students: Sequence[str]):
        self.password, self.mark = secrets.token_urlsafe(24), secrets.token_hex(16)
        self._venv, self._python, self._students = venv.absolute(), python, students
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "Hub":
        self._folder = tempfile.TemporaryDirectory(prefix="course-hub-", ignore_cleanup_errors=True)
        self._work = Path(self._folder.name)
        try:
            self._write()
            self._start()
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):  # then it is among those that are ended next
                self._process.wait(DOWN_SECONDS)
        _end(self.mark)
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ASKED_SECONDS)
            self._process.stdin.close()
        self._folder.cleanup()

    def _write(self) -> None:
        for name in self._students:
            ignored = shutil.ignore_patterns(".*", "*.py", "__pycache__")
            shutil.copytree(ROOT / "notebooks", self._work / "homes" / name / "notebooks", ignore=ignored)
        spec = self._work / "jupyter" / "kernels" / KERNEL
        spec.mkdir(parents=True)
        (spec / "kernel.json").write_text(json.dumps(kernel(self._python)), encoding="utf-8")
        ports = free_ports(3)
        self.url = f"http://{ADDRESS}:{ports[0]}"
        environment = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
        if "CIFAR10_DIR" in environment:  # the kernels' folder is another
            environment["CIFAR10_DIR"] = str(Path(environment["CIFAR10_DIR"]).expanduser().absolute())
        environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", MARK: self.mark}
        environment["JUPYTER_PATH"] = str(self._work / "jupyter")
        text = config(self._venv, self._work, ports, self._students, environment)
        (self._work / "jupyterhub_config.py").write_text(text, encoding="utf-8")

    def _start(self) -> None:
        path = os.pathsep.join([str(self._venv / "bin"), os.environ.get("PATH", os.defpath)])
        environment = {"PATH": path, "HOME": str(self._work), "LANG": os.environ.get("LANG", "C.UTF-8")}
        environment |= {MARK: self.mark, "COURSE_HUB_PASSWORD": self.password}
        with open(self._work / "log", "wb") as log:
            self._process = subprocess.Popen(
                [str(self._venv / "bin" / "jupyterhub"), "-f", "jupyterhub_config.py"],
                cwd=self._work, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _wait(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + UP_SECONDS
        while time.monotonic() < end and self._process.poll() is None and not self._port_taken():
            try:
                with opener.open(f"{self.url}/hub/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise Failure(f"the hub did not come up: {self.reason()}")

    def reason(self) -> str:
        """Why the hub does not run: the last lines of what it said, or what to do if it was a port."""
        if self._port_taken():
            return "another program took one of its ports meanwhile; run it again"
        return " / ".join(line.strip() for line in self._said().strip().splitlines()[-4:]) or "it said nothing"

    def _said(self) -> str:
        return (self._work / "log").read_text(encoding="utf-8", errors="replace")

    def _port_taken(self) -> bool:
        return any(word in self._said().lower() for word in ("eaddrinuse", "address already in use"))


def _end(mark: str) -> None:
    """Ends whatever still carries this mark: asked first, and then not asked."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in marked(mark):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        end = time.monotonic() + ASKED_SECONDS
        while marked(mark) and time.monotonic() < end:
            time.sleep(0.1)
