"""What clients can ask, and what they are told when they ask wrongly."""

from __future__ import annotations

import base64
import json
import math
from io import BytesIO

import msgspec
import pytest
import torch
from guards import WARY, add, body, guarded, headers, images, server
from PIL import Image
from ringfence_serve.assembly import make_service
from starlette.testclient import TestClient

from ringfence.memorystore import MemoryStore
from ringfence.service import Service

PREDICT = "/v1/predict"


def asked(client, some, key=None, **more):
    reply = client.post(PREDICT, content=body(some), headers=headers(key or client.key, **more))
    assert reply.status_code == 200, reply.text
    rows = [one["probabilities"] for one in reply.json()["answers"]]
    return torch.tensor(rows, dtype=torch.float64)


def test_answers_and_marks_are_those_of_the_pipeline(guard):
    client, some = guard(), images(60)
    sent = torch.cat([asked(client, some[start : start + 7]) for start in range(0, 60, 7)])
    store = MemoryStore()
    other = guarded(store, **WARY)
    wanted = make_service(other, None).answer(some, ["alice"] * 60)

    torch.testing.assert_close(sent, wanted, atol=1e-6, rtol=0)
    ledger = client.served.batcher.engine.store.ledger
    mine, theirs = ledger.pairs(), store.ledger.pairs()
    assert len(theirs) > 5
    assert torch.equal(mine.images, theirs.images)
    torch.testing.assert_close(mine.answers, theirs.answers, atol=1e-6, rtol=0)


def test_the_same_image_gets_the_same_bytes_also_after_a_restart(guard, tmp_path):
    """A hundred repeats of fifty images, half of them by another process's worth of memory."""
    client, some = guard(), images(50)

    def told(ask, batch):
        reply = ask.post(PREDICT, content=body(batch), headers=headers(client.key))
        return msgspec.json.decode(reply.content)["answers"]

    first = [told(client, one[None])[0] for one in some]
    assert len({str(one["probabilities"]) for one in first}) == 50
    for _ in range(50):
        assert told(client, some) == first
    client.__exit__(None, None, None)
    client.served.batcher.engine.store.database.close()
    later = server(tmp_path)
    with TestClient(later.app()) as restarted:
        for _ in range(49):
            assert told(restarted, some) == first
    later.batcher.engine.store.database.close()


def test_within_one_request_equal_images_get_equal_answers(guard):
    client = guard()
    asked(client, images(10))
    rows = asked(client, images(1, seed=3).repeat(20, 1, 1, 1))

    assert len(rows.unique(dim=0)) == 1


def test_observing_changes_nothing_and_records_what_it_would_have(guard):
    client, some = guard(observe=True), images(40)
    plain = Service(guarded(MemoryStore(), defense=None).victim.model).answer(some, ["a"] * 40)

    torch.testing.assert_close(asked(client, some), plain, atol=1e-9, rtol=0)
    engine = client.served.batcher.engine
    assert len(engine.store.ledger.pairs()) == 0
    page = client.get("/operator/clients/alice", headers=operator(client)).text
    assert "would be changed" in page
    assert "answer changed" not in page


def test_a_trusted_client_is_answered_honestly_and_still_scored(guard):
    client, some = guard(), images(40)
    done = client.post(
        "/operator/orders",
        json={"action": "trust", "name": "alice", "reason": "our own monitor"},
        headers=operator(client),
    )
    assert done.status_code == 200, done.text
    plain = Service(guarded(MemoryStore(), defense=None).victim.model).answer(some, ["a"] * 40)

    torch.testing.assert_close(asked(client, some), plain, atol=1e-9, rtol=0)
    assert len(client.served.batcher.engine.store.ledger.pairs()) == 0
    assert client.served.batcher.engine.alarms.untold()[0]["client"] == "alice"


def operator(client):
    return {"Authorization": f"Bearer {client.served.operator_key}"}


def test_pictures_are_answered_like_their_pixels(guard):
    client = guard()
    pixels = torch.randint(0, 256, (8, 8), dtype=torch.uint8)
    written = BytesIO()
    Image.fromarray(pixels.numpy()).save(written, "PNG")
    one = pixels.float()[None, None] / 255
    wanted = client.post(PREDICT, content=body(one), headers=headers(client.key)).json()
    auth = {"Authorization": f"Bearer {client.key}"}
    file = client.post(
        PREDICT, content=written.getvalue(), headers={**auth, "Content-Type": "image/png"}
    )
    text = client.post(
        PREDICT, json={"files": [base64.b64encode(written.getvalue()).decode()]}, headers=auth
    )
    lists = client.post(PREDICT, json={"arrays": one.tolist()}, headers=auth)

    assert file.json() == text.json() == lists.json() == wanted
    colour = BytesIO()
    Image.new("RGB", (40, 20), (200, 10, 10)).save(colour, "JPEG")
    other = client.post(
        PREDICT, content=colour.getvalue(), headers={**auth, "Content-Type": "image/jpeg"}
    )
    assert other.status_code == 200, "other sizes and colours are brought into the model's format"


NANS = base64.b64encode(torch.full((64,), math.nan).numpy().tobytes())
ONE = [[[[0.5] * 8] * 8]]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'{"arrays": []}', b'{"pixels": ["!"]}', b'{"files": ["AAAA"]}',
        b'{"pixels": ["AAAA"]}', b'{"arrays": [[[["x"]]]]}', b'{"arrays": [[[[0.5]]]]}',
        b'{"arrays": [[[[0.5], [0.5, 0.5]]]]}', b"[" * 100_000, b'{"arrays":' + b"[" * 100_000,
        b'{"arrays": ' + json.dumps(ONE).replace("0.5", "NaN").encode() + b"}",
        b'{"arrays": ' + json.dumps(ONE).replace("0.5", "1e999").encode() + b"}",
        b'{"arrays": ' + json.dumps(ONE).replace("0.5", "1e30").encode() + b"}",
        b'{"arrays": ' + json.dumps(ONE).replace("0.5", "1e300").encode() + b"}",
        b'{"arrays": ' + json.dumps(ONE).replace("0.5", "-0.1").encode() + b"}",
        b'{"arrays": ' + json.dumps(ONE).encode() + b', "more": 1}',
        b'{"arrays": ' + json.dumps(ONE).encode() + b', "pixels": ["AAAA"]}',
        b"\xff\xfe\x00", b"{\"pixels\": [\"" + NANS + b"\"]}",
    ],
)  # fmt: skip
def test_bad_bodies_are_told_so_in_a_few_bytes(guard, content):
    client = guard()
    reply = client.post(PREDICT, content=content, headers=headers(client.key))

    assert reply.status_code == 400
    assert len(reply.content) < 300
    assert reply.json()["error"] == "bad_request"


def test_hostile_pictures_are_refused(guard):
    client = guard()
    auth = {"Authorization": f"Bearer {client.key}", "Content-Type": "image/png"}
    large = BytesIO()
    Image.new("1", (9000, 9000)).save(large, "PNG")
    gif = BytesIO()
    Image.new("L", (8, 8)).save(gif, "GIF")
    for content in (large.getvalue(), gif.getvalue(), b"\x89PNG\r\n\x1a\n", large.getvalue()[:500]):
        assert client.post(PREDICT, content=content, headers=auth).status_code == 400


def test_who_has_no_key_is_not_answered(guard):
    client = guard()
    other = client.key[:-1] + ("A" if client.key[-1] != "A" else "B")
    wrong = [
        None,
        "Bearer",
        "Bearer x",
        f"Basic {client.key}",
        f"Bearer {other}",
        f"Bearer {client.key}x",
        "Bearer \x00",
    ]
    for text in wrong:
        sent = {} if text is None else {"Authorization": text}
        reply = client.post(
            PREDICT, content=body(images(1)), headers={"Content-Type": "application/json", **sent}
        )
        assert reply.status_code == 401, text
        assert client.key not in reply.text


def test_a_revoked_key_is_refused_at_once(guard):
    client = guard()
    asked(client, images(1))
    done = client.post(
        "/operator/orders", json={"action": "revoke", "name": "alice"}, headers=operator(client)
    )

    assert done.json() == {"name": "alice", "revoked": True}
    assert (
        client.post(PREDICT, content=body(images(1)), headers=headers(client.key)).status_code
        == 401
    )


def test_a_quota_ends_for_good_and_a_rate_for_a_while(tmp_path, guard):
    bob, carol = add(tmp_path, "bob", quota=10), add(tmp_path, "carol", rate=2.0)
    client = guard(repeats="pipeline")
    asked(client, images(8), bob)
    reply = client.post(PREDICT, content=body(images(3)), headers=headers(bob))
    assert (reply.status_code, reply.json()["error"]) == (403, "quota_used")
    asked(client, images(2), bob)
    asked(client, images(20), carol)
    reply = client.post(PREDICT, content=body(images(5)), headers=headers(carol))
    assert reply.status_code == 429
    assert 1 <= int(reply.headers["retry-after"]) <= 3
    asked(client, images(30))  # alice has no limit


def test_an_id_gets_the_same_reply_and_is_counted_once(guard):
    client = guard(repeats="pipeline")
    more = {"Idempotency-Key": "first-1"}
    replies = [
        client.post(PREDICT, content=body(images(6)), headers=headers(client.key, **more))
        for _ in range(3)
    ]
    assert len({one.content for one in replies}) == 1
    shown = client.post(
        "/operator/orders", json={"action": "show", "name": "alice"}, headers=operator(client)
    )
    assert shown.json()["queries"] == 6
    mixed = client.post(
        PREDICT, content=body(images(6, seed=1)), headers=headers(client.key, **more)
    )
    assert (mixed.status_code, mixed.json()["error"]) == (422, "id_reused")
    bad = client.post(
        PREDICT, content=body(images(1)), headers=headers(client.key, **{"Idempotency-Key": "a b"})
    )
    assert bad.status_code == 400


def test_a_full_queue_says_when_to_come_back(guard):
    client = guard(queue=5)
    reply = client.post(PREDICT, content=body(images(6)), headers=headers(client.key))

    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


def test_a_body_that_is_too_large_is_not_read(guard):
    client = guard()
    large = client.served.reader.largest + 1
    reply = client.post(PREDICT, content=b"x" * large, headers=headers(client.key))
    assert reply.status_code == 413


def test_health_and_figures(guard):
    client = guard()
    asked(client, images(9))
    client.post(PREDICT, content=b"", headers=headers(client.key))

    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    figures = client.get("/metrics").text
    assert "ringfence_queries_total 9.0" in figures
    assert 'ringfence_requests_total{status="400"} 1.0' in figures
    assert "ringfence_alarms_total 1.0" in figures
    assert "alice" not in figures
    assert client.get("/nothing").status_code == 404
    assert client.get(PREDICT).status_code == 405


def test_the_operators_part_is_closed_to_others(guard):
    client = guard()
    asked(client, images(20))
    for path in ("/operator", "/operator/clients/alice"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=headers(client.key)).status_code == 401
        page = client.get(path, auth=("operator", client.served.operator_key))
        assert page.status_code == 200
        assert "alice" in page.text
        assert "<script" not in page.text
        assert "http://" not in page.text.replace("http://testserver", "")
    assert client.get("/operator/clients/nobody", headers=operator(client)).status_code == 404
    order = {"action": "revoke", "name": "alice"}
    basic = client.post(
        "/operator/orders", json=order, auth=("operator", client.served.operator_key)
    )
    assert basic.status_code == 401, "a browser could be made to send it"


def test_names_in_pages_are_text(tmp_path, guard):
    client = guard()
    done = client.post(
        "/operator/orders",
        json={"action": "trust", "name": "alice", "reason": "<b>x</b>"},
        headers=operator(client),
    )
    assert done.status_code == 200
    page = client.get("/operator/clients/alice", headers=operator(client)).text
    assert "&lt;b&gt;x" in page
    assert "<b>x</b>" not in page


def test_a_batch_that_one_request_spoils_answers_the_others(guard, monkeypatch):
    client = guard()
    engine = client.served.batcher.engine
    plain, calls = engine.service.answer, []

    def choosy(some, clients):
        calls.append(len(some))
        if (some[:, 0, 0, 0] == 1).any():
            raise ValueError("no")
        return plain(some, clients)

    monkeypatch.setattr(type(engine.service), "answer", lambda self, *given: choosy(*given))
    from ringfence_serve.asks import Ask

    bad = images(2)
    bad[0, 0, 0, 0] = 1
    good = images(3, seed=5)
    good[:, 0, 0, 0] = 0.5
    replies = engine.answer([Ask("alice", good), Ask("alice", bad), Ask("alice", good[:1] / 2)])
    assert isinstance(replies[1], ValueError)
    assert replies[0].shape == (3, 4)
    assert replies[2].shape == (1, 4)
