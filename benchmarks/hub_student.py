"""A simulated student: logs in, waits for the server, opens a notebook and runs its cells, as the browser would.

Every request goes to the hub's door, with the cookies that the login gave. What a browser does beside that (drawing the
page, saving the notebook now and then) is left out.
"""

import http.client
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import websocket  # websocket-client: JupyterLab's server brings it

from benchmarks.hub_server import KERNEL, Failure

__all__ = ["Cell", "Student", "code_cells", "message", "parse_progress"]

CELL_SECONDS = 300
SERVER_SECONDS = 300
MAY_FAIL = "raises-exception"
Cell = tuple[int, str, bool]  # its number in the notebook from 1, its source, whether it may fail


def code_cells(notebook: Path) -> list[Cell]:
    """The cells that are run, in their order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        (number, "".join(cell["source"]), MAY_FAIL in cell["metadata"].get("tags", []))
        for number, cell in enumerate(cells, 1)
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]


def message(kind: str, content: Mapping, session: str) -> dict:
    """A message to the kernel, in the form in which the server takes it as text."""
    header = {"msg_id": uuid.uuid4().hex, "session": session, "username": "", "msg_type": kind, "version": "5.3"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": dict(content), "channel": "shell"}


def parse_progress(lines: Iterator[bytes]) -> bool:
    """Reads the hub's stream of events until a server is up (True), has failed (False), or the stream ends (False)."""
    for line in lines:
        if line.startswith(b"data:"):
            event = json.loads(line.removeprefix(b"data:"))
            if event.get("ready") or event.get("failed"):
                return bool(event.get("ready"))
    return False


class Student:
    """One browser with one person before it; the methods are called in the order in which they stand."""

    def __init__(self, url: str, name: str, password: str):
        self.name = name
        self._url, self._password = url, password
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )
        self._session = uuid.uuid4().hex
        self._socket: websocket.WebSocket | None = None

    def log_in(self) -> None:
        """Fills in the form; whoever has no server yet is given one by that."""
        self._get("/hub/login")
        fields = {"username": self.name, "password": self._password, "_xsrf": self._token("/hub/")}
        self._get("/hub/login?next=%2Fhub%2Fspawn", urllib.parse.urlencode(fields).encode())

    def wait_for_server(self) -> None:
        """Watches the progress as the hub's waiting page does, then opens JupyterLab's page and what it names."""
        query = urllib.parse.urlencode({"_xsrf": self._token("/hub/")})
        with self._open(f"/hub/api/users/{self.name}/server/progress?{query}", timeout=SERVER_SECONDS) as stream:
            if not parse_progress(stream):
                raise Failure("the hub could not start the server")
        page = self._get(f"/user/{self.name}/lab").decode()
        for script in re.findall(r'<script[^>]*\ssrc="(/[^"]+)"', page):
            self._get(script)

    def open(self, path: str) -> None:
        """Opens a notebook, starts its kernel, and waits until the kernel answers."""
        self._get(f"/user/{self.name}/api/contents/{path}?content=1")
        wanted = {"path": path, "name": Path(path).name, "type": "notebook", "kernel": {"name": KERNEL}}
        session = json.loads(self._get(f"/user/{self.name}/api/sessions", json.dumps(wanted).encode()))
        place = f"/user/{self.name}/api/kernels/{session['kernel']['id']}/channels?session_id={self._session}"
        self._socket = websocket.create_connection(
            f"ws{self._url.removeprefix('http')}{place}",
            timeout=CELL_SECONDS,
            cookie=self._cookie_header(place),
            origin=self._url,
            http_no_proxy=["*"],
        )
        request = message("kernel_info_request", {}, self._session)
        self._socket.send(json.dumps(request))
        next(self._replies({request["header"]["msg_id"]}))

    def run(self, cells: Sequence[Cell]) -> None:
        """Asks for all cells at once, as "Run All Cells" does, and waits until the last is done.

        A Failure for the first cell with an error.
        """
        asked = {}
        for number, source, may_fail in cells:
            content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}}
            content |= {"allow_stdin": False, "stop_on_error": not may_fail}
            request = message("execute_request", content, self._session)
            asked[request["header"]["msg_id"]] = (number, may_fail)
            self._socket.send(json.dumps(request))
        for name, reply in self._replies(set(asked)):
            number, may_fail = asked[name]
            if reply["status"] != "ok" and not may_fail:
                raise Failure(f"cell {number}: {reply.get('ename', reply['status'])}: {reply.get('evalue', '')}")

    def close(self) -> None:
        """Closes the page; the kernel goes on."""
        if self._socket:
            self._socket.close()

    def _replies(self, waiting: set[str]) -> Iterator[tuple[str, dict]]:
        """(the request's name, what was replied), as soon as the kernel is done with each of these requests."""
        replies, idle = {}, set()
        while waiting:
            answer = self._receive()
            state = answer["content"].get("execution_state")
            if state in ("restarting", "dead"):
                raise Failure("the kernel died (out of memory?)")
            name = answer["parent_header"].get("msg_id")
            if answer["channel"] == "shell":
                replies[name] = answer["content"]
            if state == "idle":
                idle.add(name)
            if name in waiting and name in idle and name in replies:
                waiting = waiting - {name}
                yield name, replies[name]

    def _receive(self) -> dict:
        """The next message in text; what comes with buffers is for a widget's picture."""
        try:
            while isinstance(text := self._socket.recv(), bytes):
                continue
        except websocket.WebSocketTimeoutException:
            raise Failure(f"no word from the kernel for {CELL_SECONDS} s") from None
        except (websocket.WebSocketException, OSError) as error:
            raise Failure(f"the server has gone ({error})") from None
        if not text:
            raise Failure("the server has closed the connection")
        return json.loads(text)

    def _get(self, place: str, data: bytes | None = None) -> bytes:
        with self._open(place, data) as answer:
            return answer.read()

    def _open(self, place: str, data: bytes | None = None, timeout: float = 120) -> http.client.HTTPResponse:
        request = urllib.request.Request(self._url + place, data)
        if data and place.startswith("/user/"):
            request.add_header("Content-Type", "application/json")
            request.add_header("X-XSRFToken", self._token(f"/user/{self.name}/"))
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            raise Failure(f"{place.partition('?')[0]} answered {error.code} {error.reason}") from None
        except (urllib.error.URLError, OSError) as error:
            raise Failure(f"{place.partition('?')[0]} did not answer ({error})") from None

    def _token(self, path: str) -> str:
        """The token against forged requests, which the server gave for this path."""
        found = [cookie.value for cookie in self._cookies if cookie.name == "_xsrf" and cookie.path == path]
        if not found:
            raise Failure(f"no _xsrf cookie for {path}: was the login refused?")
        return found[0]

    def _cookie_header(self, place: str) -> str:
        request = urllib.request.Request(self._url + place)
        self._cookies.add_cookie_header(request)
        return request.get_header("Cookie", "")
