"""The programs of one run: hubcast, and a proxy with the configuration of deploy/proxies."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

from credentials import Credentials, free_port

PROXIES = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "proxies"
AWAY_SECONDS = 4
TOKEN_LIFE_SECONDS = 3600


class Server:
    """hubcast, with a state folder. Only the proxy's word about addresses is believed."""

    def __init__(self, binary, work):
        self.binary, self.work, self.port = binary, work, free_port()
        self.credentials = Credentials(work)
        (work / "hubcast.toml").write_text(self._settings())
        self.process = None

    def start(self):
        self.process = start(self.work / "hubcast.log", self.binary, "--config", str(self.work / "hubcast.toml"))

    def stop(self):
        stop(self.process, signal.SIGTERM)

    def restart(self):
        self.stop()
        if self.process.returncode != 0:
            raise AssertionError(f"hubcast ended with status {self.process.returncode}")
        # So long that clients come back too early.
        time.sleep(AWAY_SECONDS)
        self.start()

    def _settings(self):
        return f"""\
listen = "127.0.0.1:{self.port}"
state_dir = "{self.work}/state"
trusted_proxies = ["127.0.0.1"]
hosts = ["hub.example.org"]
drain_spread = "1s"
drain_deadline = "3s"
{self.credentials.settings()}[[topics]]
match = ">"
history = {{ size = 10000, ttl = "1h", keep = "always" }}
"""


class Proxy:
    """A proxy in front of a server. `changes` replace what a test needs different: addresses, files, and short times."""

    # The status for a name that is not that of the server.
    OTHER_NAME = 421

    def __init__(self, work, to_port, file, changes):
        self.work, self.port, self.process = work, free_port(), None
        self.certificate = certificate(work)
        text = (PROXIES / file).read_text()
        for old, new in changes(self, to_port).items():
            if old not in text:
                raise AssertionError(f"{file} does not say {old!r}")
            text = text.replace(old, new)
        self.config = work / file
        self.config.write_text(text)

    def stop(self):
        stop(self.process, signal.SIGTERM)

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        self.process.send_signal(self.RELOAD)


class Nginx(Proxy):
    RELOAD = signal.SIGHUP

    def __init__(self, work, to_port):
        super().__init__(work, to_port, "nginx.conf", lambda self, to_port: {
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "listen [::]:443 ssl;": "",
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{to_port};",
            "/etc/ssl/hub.example.org/fullchain.pem": str(self.certificate),
            "/etc/ssl/hub.example.org/key.pem": str(self.certificate),
            "/var/log/nginx/hubcast.log": f"{work}/access.log",
        })
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "".join(
            f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (work / "main.conf").write_text(
            f"{user} daemon off; worker_processes 1; worker_rlimit_nofile 8192; worker_shutdown_timeout 5s; "
            f"pid {work}/nginx.pid; error_log {work}/error.log warn; events {{ worker_connections 4096; }} "
            f"http {{ {temporary} include {self.config}; }}"
        )

    def start(self):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        log = self.work / "nginx.log"
        self.process = start(log, program, "-e", str(log), "-c", str(self.work / "main.conf"))

    def access_log(self):
        return (self.work / "access.log").read_text()


class HAProxy(Proxy):
    RELOAD = signal.SIGUSR2

    def __init__(self, work, to_port):
        super().__init__(work, to_port, "haproxy.cfg", lambda self, to_port: {
            "bind :443 ": f"bind 127.0.0.1:{self.port} ",
            "127.0.0.1:8080": f"127.0.0.1:{to_port}",
            "/etc/haproxy/hub.example.org.pem": str(self.certificate),
            "maxconn 100000": "maxconn 3000",
            "hard-stop-after 60s": "hard-stop-after 5s",
        })

    def start(self):
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        self.process = start(self.work / "haproxy.log", program, "-W", "-db", "-f", str(self.config))

    def access_log(self):
        return (self.work / "haproxy.log").read_text()


class Caddy(Proxy):
    # It answers a name that it does not have by itself.
    OTHER_NAME = 200

    def __init__(self, work, to_port):
        super().__init__(work, to_port, "Caddyfile", lambda self, to_port: {
            "hub.example.org {": f"hub.example.org {{\n\ttls {self.certificate} {self.certificate}",
            "reverse_proxy 127.0.0.1:8080 {": f"reverse_proxy 127.0.0.1:{to_port} {{",
            # Debian's Caddy does not know it.
            "stream_close_delay 5m": "",
        })
        self.admin = f"127.0.0.1:{free_port()}"
        # Clients of the test send no name in their handshake.
        options = ("admin " + self.admin, f"https_port {self.port}", "auto_https disable_redirects",
                   "default_bind 127.0.0.1", "default_sni hub.example.org", "grace_period 5s")
        self.config.write_text("{\n" + "\n".join(options) + "\n}\n" + self.config.read_text())

    def start(self):
        folders = {"XDG_DATA_HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work)}
        command = ("caddy", "run", "--adapter", "caddyfile", "--config", str(self.config))
        self.process = start(self.work / "caddy.log", "env", *(f"{name}={value}" for name, value in folders.items()), *command)

    def reload(self):
        # An unchanged configuration would not be loaded.
        command = ("caddy", "reload", "--force", "--adapter", "caddyfile", "--config", str(self.config), "--address", self.admin)
        subprocess.run(command, check=True, capture_output=True)

    def access_log(self):
        lines = (self.work / "caddy.log").read_text().splitlines()
        return "\n".join(line for line in lines if "http.log.access" in line)


def certificate(work):
    """One file with a key and the certificate that it signs itself."""
    path = work / "hub.example.org.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=hub.example.org", "-keyout", path, "-out", work / "certificate"],
        check=True, capture_output=True,
    )
    path.write_text(path.read_text() + (work / "certificate").read_text())
    return path


def start(log, *command):
    with open(log, "ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


def stop(process, how):
    if process and process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{process.args[0]} did not end") from None
