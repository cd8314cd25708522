"""A mail server on 127.0.0.1:argv[1]: STARTTLS with the certificate argv[2] and key argv[3], then a login as emote with
$MAIL_PASSWORD. Writes each mail that it is given to argv[4], a line of JSON; of every sixth it never says that it has it."""

import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, certificate, key, kept = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
count = 0


def login(server, session, envelope, mechanism, data):
    expected = LoginPassword(b"emote", os.environ["MAIL_PASSWORD"].encode())
    return AuthResult(success=isinstance(data, LoginPassword) and data == expected)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "id": mail["Message-ID"],
            "subject": mail["Subject"],
            "auto": mail["Auto-Submitted"],
            "text": mail.get_body(("plain",)).get_content(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "login": session.authenticated,
            "tls": session.ssl is not None,
        }
        with open(kept, "a") as file:
            file.write(json.dumps(told) + "\n")
        if count % 6 == 0:
            server.transport.abort()
        return "250 2.0.0 it is here"


async def serve():
    def made():
        return SMTP(Handler(), tls_context=context, require_starttls=True, auth_required=True, authenticator=login)

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", int(port))
    await server.serve_forever()


asyncio.run(serve())
