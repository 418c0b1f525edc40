"""Every refusal of the console: names, other sites, sockets, passwords, sessions that are over, too many tries."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from console.door import Door
from console.errors import ListenError, PasswordError
from console.guard import COOKIE, SESSION, Guard, Rules
from console.passwords import PASSWORDS, Passwords
from console.server import LOCAL_NAMES, Options, build, is_loopback, parse_listen
from console.sessions import FORGOTTEN_S, IDLE_S, LONGEST_S, TRIES, TRIES_OF_ALL, Session, Sessions, Tries
from console.watch import Watch

SECRET = "correct horse battery"
T0 = 1_700_000_000.0
OURS = {"origin": "http://testserver"}
"""Headers of a socket from our own page; the test client's sockets ask for that name."""
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
"""What a guess costs in these tests."""


@dataclass(slots=True)
class House:
    """A console of one page and one socket behind the real guard and door."""

    state_dir: Path
    hosts: frozenset[str] | None = None
    now_s: float = T0
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def passwords(self) -> Passwords:
        """The passwords of its folder."""
        return Passwords(self.state_dir, QUICK)

    def client(self) -> TestClient:
        """Return a browser before it."""
        rules = Rules(
            sessions=self.sessions,
            locked=self.passwords.any,
            hosts=self.hosts,
            local=Session(token="", role="operator", operator="local", since_s=0.0, used_s=0.0),
            wall_s=lambda: self.now_s,
        )
        app = FastAPI()

        @app.get("/")
        async def page() -> HTMLResponse:
            return HTMLResponse("<html><script>one</script><style>two</style>&lt;script>text</html>")

        @app.post("/form")
        async def form() -> PlainTextResponse:
            return PlainTextResponse("taken")

        @app.websocket("/socket")
        async def socket(connection: WebSocket) -> None:
            await connection.accept()
            await connection.send_text(connection.scope[SESSION].role)
            await connection.close()

        Door(rules=rules, passwords=self.passwords, secure=False).register(app)
        return TestClient(Guard(app, rules), base_url="http://testserver", follow_redirects=False)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def locked(house: House) -> House:
    house.passwords.put("operator", SECRET)
    house.passwords.put("viewer", SECRET + " viewer")
    return house


def sign_in(client: TestClient, password: str = SECRET, **changes: str) -> tuple[int, str]:
    """Fill in the form; return the answer's status and where it leads."""
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/login").text)
    assert token is not None
    fields = {"csrf": token[1], "name": "ann", "password": password, "next": "/"} | changes
    answer = client.post("/login", data=fields, headers={"origin": "http://testserver"})
    return answer.status_code, answer.headers.get("location", "")


def test_without_a_password_whoever_sits_at_the_machine_is_the_operator(house: House) -> None:
    client = house.client()
    assert client.get("/").status_code == 200
    with client.websocket_connect("/socket", headers=OURS) as socket:
        assert socket.receive_text() == "operator"


def test_name_that_is_not_ours_is_refused(house: House) -> None:
    """A page elsewhere whose name was made to point at 127.0.0.1 still says its own name."""
    house.hosts = LOCAL_NAMES
    client = house.client()
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"host": "localhost:8080"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://testserver:81"])
def test_form_from_another_site_is_refused(house: House, origin: str) -> None:
    assert house.client().post("/form", headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {}])
def test_socket_from_another_site_or_from_nowhere_is_refused(house: House, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), house.client().websocket_connect("/socket", headers=headers):
        pass


def test_who_is_not_signed_in_is_sent_to_the_door(locked: House) -> None:
    client = locked.client()
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")
    assert client.post("/form").status_code == 401
    assert client.get("/_nicegui/anything").status_code == 401
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/socket", headers=OURS),
    ):
        pass


@pytest.mark.parametrize(("password", "role"), [(SECRET, "operator"), (SECRET + " viewer", "viewer")])
def test_password_opens_its_role(locked: House, password: str, role: str) -> None:
    client = locked.client()
    assert sign_in(client, password) == (303, "/")
    with client.websocket_connect("/socket", headers=OURS) as socket:
        assert socket.receive_text() == role


def test_cookie_is_out_of_reach_of_scripts_and_other_sites(locked: House) -> None:
    client = locked.client()
    sign_in(client)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/login").text)
    assert token is not None
    answer = client.post("/login", data={"csrf": token[1], "name": "a", "password": SECRET})
    cookie = next(text for text in answer.headers.get_list("set-cookie") if text.startswith(COOKIE))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_wrong_password_is_refused(locked: House) -> None:
    client = locked.client()
    assert sign_in(client, "wrong")[0] == 401
    assert client.get("/").status_code == 303


def test_form_without_its_token_is_refused_even_with_the_right_password(locked: House) -> None:
    client = locked.client()
    assert sign_in(client, csrf="0" * 64)[0] == 403
    assert client.post("/login", data={"password": SECRET}).status_code == 403
    assert client.get("/").status_code == 303


def test_too_many_wrong_passwords_must_wait_and_the_right_one_too(locked: House) -> None:
    client = locked.client()
    assert [sign_in(client, "wrong")[0] for _ in range(TRIES)] == [401] * TRIES
    assert sign_in(client)[0] == 429
    locked.now_s += FORGOTTEN_S
    assert sign_in(client)[0] == 303


@pytest.mark.parametrize("after", ["https://evil.example/", "//evil.example", "/\\evil.example", ""])
def test_signing_in_never_leads_elsewhere(locked: House, after: str) -> None:
    assert sign_in(locked.client(), next=after) == (303, "/")


def test_session_that_nobody_used_is_over(locked: House) -> None:
    client = locked.client()
    sign_in(client)
    locked.now_s += IDLE_S - 1.0
    assert client.get("/").status_code == 200
    locked.now_s += IDLE_S + 1.0
    assert client.get("/").status_code == 303


def test_session_in_use_is_over_in_the_end() -> None:
    sessions = Sessions()
    one = sessions.open("operator", "ann", T0)
    times = [T0 + hours * 3600.0 for hours in range(7, 24 * 8, 7)]
    alive = [at_s for at_s in times if sessions.find(one.token, at_s) is not None]
    assert max(alive) <= T0 + LONGEST_S
    assert max(alive) > T0 + LONGEST_S - 8 * 3600.0


def test_looking_on_does_not_prolong_a_session() -> None:
    sessions = Sessions()
    one = sessions.open("viewer", "ann", T0)
    assert sessions.find(one.token, T0 + IDLE_S - 1.0, used=False) is one
    assert sessions.find(one.token, T0 + IDLE_S + 1.0) is None


def test_signing_out_needs_the_page_and_ends_the_session(locked: House) -> None:
    client = locked.client()
    sign_in(client)
    assert client.post("/logout", data={"csrf": "guess"}).status_code == 403
    session = locked.sessions.find(client.cookies[COOKIE], locked.now_s)
    assert session is not None
    assert client.post("/logout", data={"csrf": session.csrf}).status_code == 303
    assert client.get("/").status_code == 303


def test_tries_from_many_addresses_are_bounded_together() -> None:
    tries = Tries()
    for i in range(TRIES_OF_ALL):
        tries.wrong(f"10.0.0.{i}", T0)
    assert tries.wait_s("10.9.9.9", T0 + 1.0) == pytest.approx(FORGOTTEN_S - 1.0)
    assert tries.wait_s("10.9.9.9", T0 + FORGOTTEN_S) == 0.0


def test_right_password_forgets_the_wrong_ones_of_its_address_only() -> None:
    tries = Tries()
    for _ in range(TRIES):
        tries.wrong("a", T0)
        tries.wrong("b", T0)
    tries.right("a")
    assert tries.wait_s("a", T0) == 0.0
    assert tries.wait_s("b", T0) > 0.0


def test_policy_forbids_inline_code_and_eval_and_each_answer_has_its_own_nonce(house: House) -> None:
    client = house.client()
    first, second = client.get("/"), client.get("/")
    policy = first.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    nonce = re.search(r"script-src 'self' 'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert f'<script nonce="{nonce[1]}">one' in first.text
    assert f'<style nonce="{nonce[1]}">two' in first.text
    assert "&lt;script>text" in first.text
    assert policy != second.headers["content-security-policy"]


def test_refusals_carry_the_headers_too(locked: House) -> None:
    answer = locked.client().post("/form", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_password_is_kept_as_argon2id_where_its_owner_alone_reads(tmp_path: Path) -> None:
    Passwords(tmp_path).put("operator", SECRET)
    file = tmp_path / PASSWORDS
    assert "$argon2id$" in file.read_text()
    assert SECRET not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("password", ["", "short", "x" * 2000])
def test_password_too_short_or_too_long_is_refused(tmp_path: Path, password: str) -> None:
    with pytest.raises(PasswordError, match="characters"):
        Passwords(tmp_path).put("operator", password)
    assert not Passwords(tmp_path).any()


@pytest.mark.parametrize("text", ["not JSON", "[1, 2]", '{"operator": 5}'])
def test_damaged_password_file_opens_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / PASSWORDS).write_text(text)
    with pytest.raises(PasswordError):
        Passwords(tmp_path).role(SECRET)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "gateway.local"])
def test_listening_beyond_loopback_without_a_password_is_refused(tmp_path: Path, host: str) -> None:
    options = Options(state_dir=tmp_path, own_dir=tmp_path, models_dir=tmp_path, host=host)
    with pytest.raises(ListenError, match="--set-password"):
        build(options, Watch(tmp_path, tmp_path, tmp_path))


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("::", False)])
def test_loopback_is_known(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", "127.0.0.1:", ":80", "h:99999", "h:http"])
def test_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ListenError, match="HOST:PORT"):
        parse_listen(text)


def test_address_of_six_bytes_pairs_stands_in_brackets() -> None:
    assert parse_listen("[::1]:8080") == ("::1", 8080)
