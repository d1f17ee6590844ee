"""The lines of docs/web.md on a real nginx and a real Apache, before the real command: who logs in is who asks."""

import base64
import http.client
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.docs.documents import PAGES
from tests.programs import installation
from tests.waiting import until
from tests.web.site import AOL, AUDITOR, HELPDESK, USER, Served, made, running

PAGE = PAGES["docs/web.md"]
SOCKET = "/run/safelist-web/socket"
NGINX, APACHE = "nginx", "apache2"
MISSING = installation({NGINX: "nginx-light", APACHE: "apache2", "htpasswd": "apache2-utils"})
MODULES = Path("/usr/lib/apache2/modules")
PASSWORD = "open sesame"

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING or "all is there")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def started(line: list[str], port: int, log: Path) -> Iterator[None]:
    """A web server in the foreground, until the end."""
    with log.open("w") as said:
        process = subprocess.Popen(line, stdout=said, stderr=said)
        try:
            assert until(lambda: is_open(port) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(60)


def ask(port: int, path: str = "/safelist/", user: str = "", **headers: str) -> tuple[int, str]:
    """Status and text of what a browser gets, which may send any header."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if user:
        given["Authorization"] = "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=given)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def passwords(path: Path) -> Path:
    """Of the users that log in."""
    path.touch()
    for name in (USER, HELPDESK, AUDITOR, "user", "nobody"):
        subprocess.run(["htpasswd", "-b", "-B", "-C", "4", str(path), name, PASSWORD], check=True, capture_output=True)
    path.chmod(0o644)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose socket an account without rights may reach."""
    made_ = tmp_path_factory.mktemp("servers")
    for place in (made_, *made_.parents):
        if place.stat().st_uid == os.getuid() and len(place.parts) > 2:
            place.chmod(0o755)
    return made_


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[Served]:
    """The page, which believes the accounts that nginx and Apache run as here."""
    place = home / "web"
    place.mkdir(mode=0o755)
    served = made(place, ("www-data", str(os.getuid())))
    text = served.config.read_text() + 'group_header = "X-Remote-Groups"\nauditor_groups = ["audit"]\n'
    served.config.write_text(text)
    with running(served):
        yield served


def block(language: str, number: int, site: Served, home: Path) -> str:
    """One of the page's, with the paths that there are here."""
    text = PAGE.blocks(language)[number].text.replace(SOCKET, str(site.socket))
    return re.sub(r"/etc/(nginx|apache2)/safelist.htpasswd", str(home / "htpasswd"), text)


@pytest.fixture(scope="module")
def nginx(site: Served, home: Path) -> Callable[[str], tuple[list[str], int]]:
    """What starts an nginx with a location, and its port."""

    def configured(location: str) -> tuple[list[str], int]:
        port = free_port()
        place = home / f"nginx{port}"
        place.mkdir()
        user = "user www-data;" if os.getuid() == 0 else ""
        temporary = "".join(
            f"{kind}_temp_path {place}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        path = place / "nginx.conf"
        path.write_text(
            f"daemon off; {user} worker_processes 1; pid {place}/pid; error_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{temporary}server {{\nlisten 127.0.0.1:{port};\n{location}}}\n}}\n"
        )
        return ["/usr/sbin/nginx", "-e", "stderr", "-c", str(path)], port

    return configured


def apache_configuration(place: Path, port: int, lines: str, modules: tuple[str, ...] = ()) -> Path:
    """A configuration of Apache's own with the lines of the page."""
    loaded = (
        "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "headers", "proxy",
        "proxy_http", *modules,
    )  # fmt: skip
    text = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in loaded)
    user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
    path = place / "apache2.conf"
    path.write_text(
        f"ServerRoot {place}\nDefaultRuntimeDir {place}\nPidFile {place}/pid\nListen 127.0.0.1:{port}\n"
        f"ServerName localhost\nErrorLog /dev/stderr\n{text}{user}{lines}"
    )
    return path


@pytest.fixture(scope="module", params=[NGINX, APACHE])
def port(
    request: pytest.FixtureRequest, site: Served, home: Path, nginx: Callable[[str], tuple[list[str], int]]
) -> Iterator[int]:
    """Where a web server with the page's first lines for it answers."""
    passwords(home / "htpasswd")
    if request.param == NGINX:
        line, number = nginx(block("nginx", 0, site, home))
    else:
        number, place = free_port(), home / "apache"
        place.mkdir()
        path = apache_configuration(place, number, block("apache", 0, site, home))
        line = ["/usr/sbin/apache2", "-d", str(place), "-f", str(path), "-DFOREGROUND"]
    with started(line, number, home / f"{request.param}.log"):
        yield number


def test_who_logs_in_is_who_asks(port: int) -> None:
    assert ask(port)[0] == 401
    status, page = ask(port, user=USER)
    assert (status, AOL.replace("@", "<wbr>@") in page) == (200, True)
    assert ask(port, user="user")[1].count("Who looked at your lists") == 1
    assert ask(port, "/safelist/search?q=aol", user=USER)[0] == 403
    assert ask(port, "/safelist/search?q=aol", user=HELPDESK)[0] == 200
    assert ask(port, "/safelist/overrides", user=AUDITOR)[0] == 200
    assert ask(port, user="nobody")[0] == 403


def test_links_lead_to_where_the_page_is(port: int) -> None:
    _, page = ask(port, user=AUDITOR)
    links = re.findall('href="([^"#]+)"', page)
    assert "style.css" in links
    for link in links:
        assert ask(port, f"/safelist/{link}", user=AUDITOR)[0] == 200


def test_what_a_browser_says_of_itself_is_not_believed(port: int) -> None:
    for name in ("X_Remote_User", "x_remote_user", "X_REMOTE_USER"):
        assert ask(port, "/safelist/overrides", user=USER, **{name: AUDITOR})[0] == 403
        status, page = ask(port, user=USER, **{name: AUDITOR})
        assert (status, AOL.replace("@", "<wbr>@") in page) == (200, True)
    assert ask(port, "/safelist/overrides", user=USER, X_Remote_Groups="audit")[0] == 403
    assert ask(port, X_Remote_User=AUDITOR)[0] == 401


class _OAuth2Proxy(BaseHTTPRequestHandler):
    """Answers as oauth2-proxy does with --set-xauthrequest: who has its cookie has logged in."""

    def do_GET(self) -> None:
        """Say who the cookie is of."""
        who = {"session=user": USER, "session=otto": AUDITOR, "session=group": USER}.get(self.headers["Cookie"] or "")
        self.send_response(202 if who else 401 if self.path == "/oauth2/auth" else 200)
        if who:
            self.send_header("X-Auth-Request-Email", who)
        if self.headers["Cookie"] == "session=group":
            self.send_header("X-Auth-Request-Groups", "staff,audit")
        text = b"" if self.path == "/oauth2/auth" else b"sign in"
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_nginx_with_oauth2_proxy(site: Served, home: Path, nginx: Callable[[str], tuple[list[str], int]]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _OAuth2Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        lines = block("nginx", 1, site, home).replace("127.0.0.1:4180", f"127.0.0.1:{proxy.server_port}")
        line, port = nginx(lines)
        with started(line, port, home / "oauth2.log"):
            assert ask(port)[1] == "sign in"
            assert ask(port, X_Remote_User=AUDITOR, X_Auth_Request_Email=AUDITOR)[1] == "sign in"
            assert ask(port, Cookie="session=user")[0] == 200
            assert ask(port, "/safelist/overrides", Cookie="session=user", X_Remote_User=AUDITOR)[0] == 403
            assert ask(port, "/safelist/overrides", Cookie="session=user", X_Remote_Groups="audit")[0] == 403
            assert ask(port, "/safelist/overrides", Cookie="session=otto")[0] == 200
            assert ask(port, "/safelist/overrides", Cookie="session=group")[0] == 200
        proxy.shutdown()


@pytest.mark.parametrize(("number", "module"), [(1, "auth_gssapi"), (2, "auth_openidc")])
def test_apache_takes_the_lines_for_kerberos_and_openid_connect(
    site: Served, home: Path, tmp_path: Path, number: int, module: str
) -> None:
    if not (MODULES / f"mod_{module}.so").exists():
        pytest.skip(f"apt-get install libapache2-mod-{module.replace('_', '-')}")
    lines = block("apache", number, site, home)
    for name in ("oidc-secret", "oidc-passphrase"):
        (tmp_path / name).write_text("secret")
        lines = lines.replace(f"/etc/apache2/{name}", str(tmp_path / name))
    path = apache_configuration(tmp_path, free_port(), lines, (module,))
    done = subprocess.run(
        ["/usr/sbin/apache2", "-d", str(tmp_path), "-f", str(path), "-t"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Syntax OK" in done.stderr) == (0, True), done.stderr
