"""Writes requests that are right into the corpora: `python3 fuzz/seeds.py` in broker/."""
import base64, gzip, hashlib, hmac, json, pathlib, plistlib, zlib

HERE = pathlib.Path(__file__).parent / "corpus"


def put(target, name, data):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def webhook(name, scheme, headers, body):
    head = [scheme] + [f"{key}:{value}" for key, value in headers.items()]
    put("webhook", name, "\n".join(head + [""]).encode() + b"\n" + body)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256)


def b64(data):
    return base64.b64encode(data).decode()


SLACK = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
FORM, JSON = {"content-type": "application/x-www-form-urlencoded"}, {"content-type": "application/json"}
webhook("github", "github", FORM | {"x-hub-signature-256": "sha256=" + mac(b"It's a Secret to Everybody", b"Hello, World!").hexdigest()}, b"Hello, World!")
webhook("slack", "slack", FORM | {"x-slack-request-timestamp": 1531420618, "x-slack-signature": "v0=" + mac(b"8f742231b10e8888abcd99yyyzzz85a5", b"v0:1531420618:" + SLACK).hexdigest()}, SLACK)
body = b'{"say": "hello"}'
webhook("zendesk", "zendesk", JSON | {"x-zendesk-webhook-signature-timestamp": "2021-07-25T10:00:00Z", "x-zendesk-webhook-signature": b64(mac(b"HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=", b"2021-07-25T10:00:00Z" + body).digest())}, body)
body = b'{"data": {"id": "1"}, "event": "devices.created"}'
webhook("kolide", "kolide", JSON | {"authorization": mac(b"kolide-secret", body).hexdigest()}, body)
body = b'{"topic":"mdm.Connect"}\n'
webhook("nanomdm", "nanomdm", JSON | {"x-hmac-signature": b64(mac(b"correct horse", body).digest())}, body)
body = b'{"data":{"type":"webhookPingCreated","id":"1"}}'
webhook("app_store_connect", "app_store_connect", JSON | {"x-apple-signature": "hmacsha256=" + mac(b"asc-secret", body).hexdigest()}, body)
body, message = b'{"test": 2432232314}', b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330."
v1 = "v1," + b64(mac(base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), message + body).digest())
v1a = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
for name, prefix, signature in [("v1", "webhook", v1), ("v1a", "webhook", v1a), ("both", "webhook", f"{v1a} {v1}"), ("svix", "svix", v1)]:
    scheme = "svix" if prefix == "svix" else "standard_webhooks"
    webhook(name, scheme, JSON | {f"{prefix}-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", f"{prefix}-timestamp": 1614265330, f"{prefix}-signature": signature}, body)
webhook("hmac", "hmac", JSON | {"x-time": 1614265330, "x-id": 7, "x-signature": mac(b"key", b"1614265330:7:{}").hexdigest()}, b"{}")
webhook("okta", "okta", JSON | {"authorization": "s3cret"}, b"{}")
webhook("bearer", "bearer", JSON | {"authorization": "Bearer s3cret"}, b"{}")
webhook("basic", "basic", JSON | {"authorization": "Basic " + b64(b"s3cret:s3cret")}, b"{}")
webhook("graph", "graph", JSON, b'{"value":[{"clientState":"s3cret","changeType":"updated","resource":"Users/1"}]}')


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


CLAIMS = {"iss": "https://idp.example.com", "aud": "emote", "exp": 1800000300, "iat": 1800000000, "sub": "ada"}
RSA = {"keys": [{"kty": "RSA", "kid": "1", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]}
EC = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "key_ops": ["verify"], "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}
for alg, set_ in [("RS256", RSA), ("PS256", RSA), ("RS512", RSA), ("ES256", EC), ("EdDSA", None), ("none", EC), ("HS256", RSA)]:
    for size in [64, 256]:
        token = f"{part({'alg': alg, 'kid': '1', 'typ': 'JWT'})}.{part(CLAIMS)}.{base64.urlsafe_b64encode(bytes(size)).decode().rstrip('=')}"
        put("token", f"{alg}{size}", (json.dumps(set_) + "\n\n" if set_ else "").encode() + token.encode())
# Signed with the key of RFC 8037, A.1, where the library for it is at hand.
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))
    signed = f"{part({'alg': 'EdDSA', 'kid': '1'})}.{part(CLAIMS)}"
    signature = base64.urlsafe_b64encode(key.sign(signed.encode())).decode().rstrip("=")
    put("token", "signed", f"{signed}.{signature}".encode())
except ImportError:
    pass


def decode(name, content_type, body):
    put("decode", name, content_type.encode() + b"\n" + body)


PLIST = {"a": [1, 2.5, True, b"data", "text", {"b": -1}], "UDID": "U"}
decode("plist", "application/x-apple-aspen-mdm", plistlib.dumps(PLIST))
decode("bplist", "application/x-plist", plistlib.dumps(PLIST, fmt=plistlib.FMT_BINARY))
decode("xml", "text/xml", b'<?xml version="1.0"?><a x="1"><b>t&amp;&#65;</b><b/><![CDATA[c]]><!-- d --></a>')
decode("doctype", "application/xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
decode("form", "application/x-www-form-urlencoded", b"a=1&a=2&b=%20%ff+c&payload=%7B%7D")
decode("json", "application/json", b'{"a":[1,-1.5e300,"\\ud83d\\ude00",null]}')
decode("cloudevent", "application/cloudevents+json", b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}')
decode("batch", "application/cloudevents-batch+json", b'[{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AAEC"}]')

LINE = b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 [exampleSDID@32473 iut=\"3\" a=\"\\\"\\]\"] \xef\xbb\xbf'su root' failed"
put("syslog", "counted", b"\x07" + f"{len(LINE)} ".encode() + LINE)
put("syslog", "trailed", b"\x40" + LINE + b"\n<13>Oct 11 22:14:15 mymachine su[1]: text\0")
MESSAGE = json.dumps({"version": "1.1", "host": "h", "short_message": "hello"}).encode()
for name, packed in (("plain", MESSAGE), ("gzip", gzip.compress(MESSAGE)), ("zlib", zlib.compress(MESSAGE))):
    put("gelf", name, bytes([len(packed)]) + packed)
    halves = [b"\x1e\x0f01234567" + bytes([at, 2]) + packed[at * 30 : at * 30 + 30 + at * 100] for at in (0, 1)]
    put("gelf", name + "-chunks", b"".join(bytes([len(half)]) + half for half in halves))
decode("ndjson", "application/x-ndjson", b'{"a":1}\n\n{"a":[2]}\r\n"x"\n')


def scim(name, *requests):
    lines = [f"{line}\n{json.dumps(body)}" if body is not None else line for line, body in requests]
    put("scim", name, "\n\n".join(lines).encode())


ADA = {"userName": "ada@example.com", "active": True, "emails": [{"value": "ada@example.com", "type": "work", "primary": True}], "name": {"givenName": "Ada"}}
OFF = {"Operations": [{"op": "replace", "value": {"active": False}}, {"op": "Add", "path": 'emails[type eq "home"].value', "value": "a@b.c"}]}
OUT = {"Operations": [{"op": "remove", "path": 'members[value eq "ID"]'}, {"op": "add", "path": "members", "value": [{"value": "x", "display": "X"}]}]}
scim("user", ("POST Users", ADA), ("PATCH Users/ID", OFF), ("PUT Users/ID", ADA | {"title": "x"}), ("DELETE Users/ID", None))
scim("group", ("POST Users", ADA), ("POST Groups", {"displayName": "G", "members": [{"value": "ID"}]}), ("PATCH Groups/ID", OUT), ("GET Groups/ID?excludedAttributes=members", None))
scim("search", ("POST Users", ADA), ("GET Users?filter=userName%20eq%20%22a%22%20and%20not%20(emails%5Btype%20eq%20%22work%22%5D%20or%20title%20pr)&startIndex=2&count=1", None), ("POST Users/.search", {"filter": 'displayName sw "A" or meta.created gt "2026"', "attributes": ["userName"]}))
scim("schemas", ("GET ServiceProviderConfig", None), ("GET Schemas/urn:ietf:params:scim:schemas:core:2.0:User", None), ("GET ResourceTypes/User", None))

SET = {"iss": "https://idp.example.com", "jti": "1", "iat": 1800000000, "aud": "emote"}
for name, subject in {
    "email": {"format": "email", "email": "ada@example.com"},
    "iss_sub": {"format": "iss_sub", "iss": "https://idp.example.com", "sub": "00u1"},
    "complex": {"format": "complex", "user": {"format": "email", "email": "ada@example.com"}, "device": {"format": "opaque", "id": "C02"}},
    "aliases": {"format": "aliases", "identifiers": [{"format": "phone_number", "phone_number": "+15550100"}, {"format": "account", "uri": "acct:ada@example.com"}]},
    "old": {"subject_type": "iss-sub", "iss": "https://appleid.apple.com", "sub": "0"},
}.items():
    event = {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {"subject": subject, "event_timestamp": 1800000000, "reason_admin": {"en": "x"}}}
    put("catalog", f"ssf_{name}", b"ssf\n" + json.dumps(SET | {"events": event, "sub_id": subject}).encode())
# What each entry's fixtures hold, webhooks and items alike.
try:
    import yaml

    for file in sorted((HERE.parent.parent / "catalog" / "fixtures").glob("*/*.yaml")):
        fixture = yaml.safe_load(file.read_text())
        bodies = [fixture["json"]] if "json" in fixture else [fixture["body"]] if "body" in fixture else []
        bodies += [one.get("answer") for kind in ("poll", "reconcile") for one in fixture.get(kind, {}).get("exchanges", [])]
        for at, body in enumerate(body for body in bodies if body):
            head = f"{file.parent.name} {fixture.get('type', 'application/json')}\n"
            put("catalog", f"{file.parent.name}_{file.stem}_{at}", head.encode() + (body if isinstance(body, str) else json.dumps(body, default=str)).encode())
except ImportError:
    pass
