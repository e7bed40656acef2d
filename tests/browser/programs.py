"""The programs of one run: hubcast, nginx and Chromium, with their settings and ports."""

import pathlib
import shutil
import subprocess

from credentials import Credentials, free_port

HERE = pathlib.Path(__file__).resolve().parent
TOKEN_LIFE_SECONDS = 35


class Programs:
    """Starts programs that keep all they write in the folder `work`, and stops them."""

    def __init__(self, binary, work):
        self.binary, self.work = binary, work
        self.credentials = Credentials(work)
        self.server_port, self.nginx_port = free_port(), free_port()
        self._all = []
        (work / "hubcast.toml").write_text(self._settings())

    def start_server(self):
        return self._start(self.binary, "--config", str(self.work / "hubcast.toml"))

    def start_nginx(self, to_port):
        """Starts nginx in front of what listens on `to_port`."""
        text = (HERE / "nginx.conf").read_text()
        values = {"WORK": self.work, "HERE": HERE, "NGINX_PORT": self.nginx_port, "SERVER_PORT": to_port}
        for name, value in values.items():
            text = text.replace(name, str(value))
        (self.work / "nginx.conf").write_text(text)
        self._start(shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(self.work / "nginx.conf"))

    def start_chromium(self, address):
        self._start("chromium", *CHROMIUM_FLAGS, f"--user-data-dir={self.work}/profile", address)

    def stop(self):
        for program in self._all:
            program.terminate()
        for program in self._all:
            try:
                program.wait(5)
            except subprocess.TimeoutExpired:
                program.kill()

    def token(self):
        return self.credentials.token("page", TOKEN_LIFE_SECONDS)

    def _start(self, *command):
        with open(self.work / f"{pathlib.Path(command[0]).name}.out", "ab") as log:
            program = subprocess.Popen(command, stdout=log, stderr=log)
        self._all.append(program)
        return program

    def _settings(self):
        return f"""\
listen = "127.0.0.1:{self.server_port}"
state_dir = "{self.work}/state"
trusted_proxies = ["127.0.0.1"]
drain_spread = "1s"
drain_deadline = "2s"
{self.credentials.settings()}[[topics]]
match = ">"
history = {{ size = 5000, ttl = "10m", keep = "always" }}
"""


CHROMIUM_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
]
