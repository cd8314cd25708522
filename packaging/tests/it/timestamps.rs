//! Secure times: a server of OpenSSL's `ts` signs them for the real rcodesign.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use emote_packaging::pkg::sign::{Identity, Key};
use emote_packaging::pkg::verify::{Demands, verify};
use emote_packaging::pkg::{assemble, development, xar};

use crate::signed::{caught, now, trust};
use crate::tools::{Place, VERSION, find, left_out, packaging, run};

/// Answers RFC 3161 requests on this machine for as long as the test runs.
fn server(folder: &Path) -> String {
    let config = format!(
        "[tsa]\nserial = {0}/serial\nsigner_cert = {0}/tsa.pem\nsigner_key = {0}/tsa.key\nsigner_digest = sha256\n\
         default_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1\n",
        folder.display()
    );
    std::fs::write(folder.join("tsa.cnf"), config).unwrap();
    std::fs::write(folder.join("serial"), "01\n").unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=times", "-days", "2"]);
    openssl.args([
        "-addext",
        "extendedKeyUsage=critical,timeStamping",
        "-addext",
        "keyUsage=critical,digitalSignature",
    ]);
    run(openssl.arg("-keyout").arg(folder.join("tsa.key")).arg("-out").arg(folder.join("tsa.pem")));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = folder.to_owned();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &folder)));
    format!("http://{address}/")
}

fn answer(mut stream: TcpStream, folder: &Path) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut query = vec![0; length];
    reader.read_exact(&mut query).unwrap();
    std::fs::write(folder.join("query"), query).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["ts", "-reply", "-section", "tsa", "-config"]).arg(folder.join("tsa.cnf"));
    let reply = run(openssl.arg("-queryfile").arg(folder.join("query")));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        reply.len()
    );
    stream.write_all(&[head.as_bytes(), &reply].concat()).unwrap();
}

/// The package that an identity signs.
fn package(place: &Place, identity: &Identity) -> Vec<u8> {
    let (version, scratch) = (VERSION.parse().unwrap(), &place.folder);
    let program = assemble::program(&["arm64", "x86_64"].map(|name| place.path(name))).unwrap();
    let app = assemble::app(scratch, &program.bytes, version).unwrap();
    identity.sign_app(&app, scratch).unwrap();
    let payload = assemble::payload(&app).unwrap();
    let time = jiff::Timestamp::UNIX_EPOCH;
    let unsigned = assemble::package(version, time, &payload, &assemble::scripts(version)).unwrap();
    let [from, to] = ["from.pkg", "to.pkg"].map(|name| place.path(name));
    std::fs::write(&from, unsigned).unwrap();
    identity.sign_package(&from, &to, scratch).unwrap();
    std::fs::read(to).unwrap()
}

#[test]
fn a_secure_time_is_proven_and_none_of_its_bytes_can_differ() {
    if find("rcodesign").is_none() {
        return left_out("secure times", "rcodesign in $EMOTE_TOOLS/bin or PATH");
    }
    let place = Place::new();
    run(packaging().args(["dev-identity", "--out"]).arg(place.path("identity")));
    let pem = |name: &str| place.path("identity").join(name);
    let identity = Identity {
        application: Key::Pem(pem(development::APPLICATION)),
        installer: Key::Pem(pem(development::INSTALLER)),
        timestamps: Some(server(&place.folder)),
        signing_time: None,
        team: Some(development::TEAM),
    };
    let package = package(&place, &identity);
    let pair = [pem(development::APPLICATION), pem(development::INSTALLER)];
    let demands = |anchors: &[PathBuf], now| Demands {
        trust: Some(trust(anchors.iter().cloned())),
        secure_time: true,
        ticket: false,
        now,
    };
    let all = [&pair[..], &[place.path("tsa.pem")]].concat();
    let trusting = demands(&all, now());
    let report = verify(&package, &trusting);
    assert_eq!(report.problems, [""; 0]);
    assert!(report.proven.iter().filter(|proven| proven.contains(", at 20")).count() == 3, "{:?}", report.proven);
    // It was signed while the certificate was valid, and that is what counts for ever.
    assert_eq!(verify(&package, &demands(&all, now() + 10 * 365 * 86_400)).problems, [""; 0]);
    let told = verify(&package, &demands(&pair, now())).problems.join("\n");
    assert!(told.contains("secure time: times was issued by nobody who is trusted"), "{told}");
    let archive = xar::read(&package).unwrap();
    let cms = archive.cms.as_ref().unwrap().bytes;
    let begins = cms.as_ptr().addr() - package.as_ptr().addr();
    caught(&package, begins..begins + cms.len(), 128, |broken| !verify(broken, &trusting).problems.is_empty());
}
