"""`make lab`: says which data is in use, then opens JupyterLab on the first notebook.

    python -m tools.lab [--only NAME] [ARGS...]     NAME is the beginning of a notebook's name, such as 03; what else
                                                    stands there is JupyterLab's

Reachable from this machine only, and with a token, whatever the user's own Jupyter settings say: a notebook server runs
any code it is sent.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from tools.kernels import encryption

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"


def say(text):
    print(f"[lab] {text}", flush=True)


def find_notebook(name="", root=ROOT):
    """The notebook whose name begins so, "3" being "03"; the first one if nothing is given.

    Raises:
        SystemExit: there is none, or more than one; the text says in one line which there are.
    """
    notebooks = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        raise SystemExit("[lab] notebooks/ has no notebooks: get the course anew")
    name = name.strip()
    start = f"{int(name):02d}_" if name.isascii() and name.isdigit() else name
    found = [path for path in notebooks if path.name.startswith(start)] if name else notebooks[:1]
    if len(found) == 1:
        return found[0]
    problem = f"more than one notebook begins with {name!r}" if found else f"no notebook begins with {name!r}"
    raise SystemExit(f"[lab] {problem}; there are: {', '.join(path.stem for path in found or notebooks)}")


def is_root():
    return hasattr(os, "geteuid") and os.geteuid() == 0


def has_screen(env=os.environ, platform=sys.platform):
    """Whether a browser opened here would be seen by whoever typed the command."""
    if env.get("SSH_CONNECTION") or env.get("SSH_TTY") or env.get("CI"):
        return False
    if platform.startswith("linux"):
        return bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))
    return True


def command_line(notebook, extra=(), root_user=False, screen=True):
    """What JupyterLab is started with. Ctrl-C ends it at once (-y): make would not wait for a second answer."""
    options = [f"--ServerApp.ip={ADDRESS}", f"--ServerApp.root_dir={ROOT}", "--log-level=WARN", "-y"]
    options += [f"--KernelManager.{name}={value}" for name, value in encryption().items()]
    if root_user:
        options.append("--allow-root")
    if not screen:
        options.append("--no-browser")
    return [str(notebook), *options, *extra]


def objection(server):
    """Why this server must not run, or nothing: the settings in force count, wherever they came from."""
    if server.ip != ADDRESS or server.sock:
        return f"`make lab` listens on {ADDRESS} only: leave out --ip and --sock, or start `jupyter lab` yourself."
    if not server.identity_provider.auth_enabled:
        return (
            "Your Jupyter settings turn the token off, and then anybody on this machine could run code as you: "
            "remove the empty token from jupyter_server_config.py, or start `jupyter lab` yourself."
        )
    return ""


def address(server, notebook):
    """The notebook's address. A token that the user chose (JUPYTER_TOKEN) is the user's secret, and not printed."""
    path = quote(notebook.relative_to(ROOT).as_posix())
    scheme = "https" if server.certfile else "http"
    url = f"{scheme}://{ADDRESS}:{server.port}{server.base_url}lab/tree/{path}"
    provider = server.identity_provider
    return f"{url}?token={provider.token}" if provider.token and provider.token_generated else url


def main(arguments):
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # --help is JupyterLab's
    parser.add_argument("--only", default="", metavar="NAME")
    options, extra = parser.parse_known_args(arguments)
    notebook, screen = find_notebook(options.only), has_screen()  # first: a wrong name need not wait for the data
    if subprocess.run([sys.executable, "-m", "utils.data"], cwd=ROOT).returncode:
        print("[lab] The data could not be made ready (the reason is above).", file=sys.stderr)
        return 1
    if is_root():
        say("running as root (a container?): JupyterLab is started with --allow-root; elsewhere, use an ordinary user")
    say("starting JupyterLab ...")
    from jupyterlab.labapp import LabApp  # takes a second, so not before the words above

    server = LabApp.initialize_server(argv=command_line(notebook, extra, is_root(), screen))
    if objection(server):
        print(f"[lab] {objection(server)}", file=sys.stderr)
        return 1
    say("open in your browser:" if screen else "no screen here; open in a browser on this machine:")
    say(f"    {address(server, notebook)}")
    if not screen:
        say(f"    (from another machine, first: ssh -L {server.port}:{ADDRESS}:{server.port} THIS-MACHINE)")
    say("Ctrl-C ends it.")
    server.start()
    say("ended")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
