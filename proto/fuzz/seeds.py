"""Writes what is right into the corpus of `identity`: `python3 fuzz/seeds.py` in proto/. Signing needs the library
`cryptography`; without it signatures are zeros."""
import base64, hashlib, json, pathlib

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
except ImportError:
    Ed25519PrivateKey = None

CORPUS = pathlib.Path(__file__).parent / "corpus" / "identity"


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
    return crc & 0xFFFF


def nkey(raw):
    """As NATS writes keys: prefix and key, then their CRC, in base32."""
    return base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).decode().rstrip("=")


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Pair:
    """A key made from `word`."""

    def __init__(self, prefix, word):
        seed = hashlib.sha256(word).digest()
        self.seed = nkey(bytes([(18 << 3) | (prefix >> 5), (prefix & 31) << 3]) + seed)
        self.key = Ed25519PrivateKey and Ed25519PrivateKey.from_private_bytes(seed)
        self.public = nkey(bytes([prefix]) + (self.key.public_key().public_bytes_raw() if self.key else seed))

    def sign(self, text):
        return url64(self.key.sign(text.encode()) if self.key else bytes(64))


def identity(name, kind, text):
    CORPUS.mkdir(parents=True, exist_ok=True)
    (CORPUS / name).write_bytes(f"{kind}\n{text}".encode())


def part(value):
    return url64(json.dumps(value).encode())


USER, ACCOUNT = 20 << 3, 0
account, user, other = Pair(ACCOUNT, b"account"), Pair(USER, b"user"), Pair(USER, b"other")
TOKEN, SERIAL, TIME = "fleet2026", "C02XL0GTJGH5", "2027-01-15T08:00:00.000Z"
claims = {"jti": "J", "iat": 1800000000, "exp": 1800003600, "iss": account.public, "name": TOKEN, "sub": user.public, "nats": {"type": "user", "version": 2, "pub": {"allow": ["enroll.fleet2026"]}}}
signed = f"{part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{part(claims)}"
jwt = f"{signed}.{account.sign(signed)}"
identity("jwt", "jwt", jwt)
identity("jwt_none", "jwt", f"{part({'typ': 'JWT', 'alg': 'none'})}.{part(claims)}.")
identity("creds", "creds", f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")
identity("token", "token", f"emote1:{jwt}:{user.seed}")
text = f"emote-enroll-1\n{TOKEN}\n{SERIAL}\n{user.public}\n{TIME}"
identity("ask", "ask", json.dumps({"serial": SERIAL, "public_key": user.public, "time": TIME, "agent": "1.0", "signature": user.sign(text)}))
text = f"emote-renew-1\n{SERIAL}\n{user.public}\n{other.public}\n{TIME}"
identity("renew", "renew", json.dumps({"public_key": user.public, "next_key": other.public, "time": TIME, "signature": user.sign(text), "next_signature": other.sign(text)}))
for state in [{"state": "enrolled", "jwt": jwt}, {"state": "pending", "reason": "r", "retry_after": 30}, {"state": "denied", "reason": "r"}, {"state": "unavailable", "reason": "r", "retry_after": 60}]:
    identity(f"answer_{state['state']}", "answer", json.dumps(state))
for notice in [{"notice": "issued", "jwt": jwt}, {"notice": "rotate"}, {"notice": "refused", "reason": "r"}]:
    identity(f"notice_{notice['notice']}", "notice", json.dumps(notice))
