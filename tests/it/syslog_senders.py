"""Sends log messages as Python's own library does, and GELF as Graylog's libraries do.

Arguments: the ports of UDP, TCP and TLS for syslog, that of UDP for GELF, and the folder of the certificates.
"""

import gzip
import json
import logging
import logging.handlers
import random
import socket
import ssl
import sys

udp, tcp, tls, gelf = map(int, sys.argv[1:5])
folder = sys.argv[5]


def log(port, kind, text):
    facility = logging.handlers.SysLogHandler.LOG_LOCAL3
    handler = logging.handlers.SysLogHandler(("127.0.0.1", port), facility, kind)
    handler.handleError = lambda record: sys.exit(f"{text}: not sent")
    handler.emit(logging.LogRecord("it", logging.WARNING, "it.py", 1, text, None, None))
    handler.close()


log(udp, socket.SOCK_DGRAM, "python by udp: ä")
log(tcp, socket.SOCK_STREAM, "python by tcp")

context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
context.load_cert_chain(f"{folder}/client.pem", f"{folder}/client.key")
with context.wrap_socket(socket.create_connection(("127.0.0.1", tls)), server_hostname="localhost") as connection:
    for number in (1, 2):
        message = f'<29>1 2026-03-04T05:06:07Z ada-mbp it 1 M [it@32473 serial="C02XL0GTJGH5"] python by tls {number}'
        connection.sendall(f"{len(message)} {message}".encode())
    connection.unwrap()

random.seed(1)
noise = "".join(random.choice("0123456789abcdef") for _ in range(20_000))
message = {"version": "1.1", "host": "web-1", "short_message": "gelf in chunks", "full_message": noise, "level": 3}
packed = gzip.compress(json.dumps(message).encode())
pieces = [packed[at : at + 1400] for at in range(0, len(packed), 1400)]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
    for number in reversed(range(len(pieces))):
        header = b"\x1e\x0f" + b"emote-it" + bytes([number, len(pieces)])
        datagrams.sendto(header + pieces[number], ("127.0.0.1", gelf))
