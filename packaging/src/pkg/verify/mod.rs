//! Proves a package from its bytes, on any system: that nothing was changed, who signed it, and that what it installs is
//! what its manifest, its Bom and its texts say. Every problem is named, and whatever cannot be proven is one. Only that a
//! program does not say its version, as those of before do not, is a warning.
//!
//! In this order: the archive and its checksums ([`super::xar`]), the RSA and CMS signatures of the table of contents and
//! the chain of their certificates ([`certificates`], [`cms`]), the ticket, the contents ([`mod@contents`]), and the signature of
//! each slice of the program and of its bundle ([`code`]).
//!
//! Nobody but Apple can tell what a ticket says, so it is found and no more: `spctl` on a Mac asks Apple.

mod certificates;
pub(crate) mod cms;
mod code;
mod contents;

pub use certificates::Trust;
pub(crate) use certificates::{authority, is_root, name, of_pem};

use der::Decode;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256};
use x509_cert::Certificate;

use self::certificates::Purpose;
use self::cms::Signed;
use super::xar::{self, Archive, Signature, Style};
pub use contents::{Contents, contents};

/// What a package must have, to be shipped.
#[derive(Debug, Clone)]
pub struct Demands {
    /// Whose signatures count; none for a package that says plainly that it is unsigned.
    pub trust: Option<Trust>,
    /// A secure time beside each signature.
    pub secure_time: bool,
    /// A ticket of Apple's.
    pub ticket: bool,
    /// Now, in seconds since 1970: for certificates, where there is no secure time.
    pub now: u64,
}

impl Demands {
    /// What whoever installs it demands.
    pub fn release(now: u64) -> Self {
        Self { trust: Some(Trust::Apple), secure_time: true, ticket: true, now }
    }

    /// Integrity alone.
    pub fn development(now: u64) -> Self {
        Self { trust: Some(Trust::Development), secure_time: false, ticket: false, now }
    }

    /// What is in it, signed by nobody.
    pub fn unsigned(now: u64) -> Self {
        Self { trust: None, secure_time: false, ticket: false, now }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// What is wrong; a package with any is not to be installed.
    pub problems: Vec<String>,
    /// What nothing confirms.
    pub warnings: Vec<String>,
    /// What was proven.
    pub proven: Vec<String>,
}

impl Report {
    fn problem(&mut self, what: impl Into<String>) {
        self.problems.push(what.into());
    }

    /// Takes a result: what it says is proven, or a problem of `of`.
    fn take(&mut self, of: &str, result: Result<String, String>) {
        match result {
            Ok(proven) => self.proven.push(proven),
            Err(problem) => self.problem(format!("{of}: {problem}")),
        }
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Tries everything.
pub fn verify(package: &[u8], demands: &Demands) -> Report {
    let mut report = Report::default();
    let archive = match xar::read(package) {
        Ok(archive) => archive,
        Err(malformed) => {
            report.problem(malformed.to_string());
            return report;
        }
    };
    let damaged = archive.damaged();
    if damaged.is_empty() {
        report
            .proven
            .push(format!("{} files and the table of contents are what their checksums say", archive.files.len()));
    }
    report.problems.extend(damaged);
    let team = signatures(&archive, demands, &mut report);
    match (archive.ticket, demands.ticket) {
        (Some(ticket), _) => report.proven.push(format!("a ticket of {} bytes is stapled to it", ticket.len())),
        (None, true) => {
            report.problem("no ticket is stapled to it: it was not notarized, or the ticket was not stapled");
        }
        (None, false) => {}
    }
    match contents(&archive) {
        Ok(contents) => {
            contents.check(&archive, &mut report);
            code::check(&contents, team.as_deref(), demands, &mut report);
        }
        Err(problem) => report.problem(problem),
    }
    report
}

/// Tries the archive's signatures, and gives its signer's team.
fn signatures(archive: &Archive<'_>, demands: &Demands, report: &mut Report) -> Option<String> {
    let (rsa, cms, trust) = match (&archive.rsa, &archive.cms, &demands.trust) {
        (Some(rsa), Some(cms), Some(trust)) => (rsa, cms, trust),
        (None, None, None) => return None,
        (_, _, None) => {
            report.problem("it is signed, and was said not to be");
            return None;
        }
        _ => {
            report.problem("it is not signed, or lacks its RSA or its CMS signature");
            return None;
        }
    };
    let leaf = rsa_signature(archive, rsa, cms);
    let team = leaf.as_ref().ok().and_then(certificates::team);
    report.take(
        "RSA signature",
        leaf.as_ref().map(|leaf| format!("its RSA signature is of {}", who(leaf))).map_err(Clone::clone),
    );
    let signed = Signed::of(cms.bytes, archive.checksum).and_then(|signed| {
        let mut sent = signed.certificates.clone();
        let mut listed = listed(cms)?;
        let first = listed.first().cloned().ok_or("the table of contents lists no certificate")?;
        let order = |certificate: &Certificate| der::Encode::to_der(certificate).unwrap_or_default();
        sent.sort_by_key(order);
        listed.sort_by_key(order);
        let same = sent == listed && signed.leaf == first;
        if same { Ok(signed) } else { Err("other certificates are in it than in the table of contents".into()) }
    });
    let proven = signed.and_then(|signed| signer(&signed, trust, Purpose::Installer, demands));
    report.take("CMS signature", proven.map(|proven| format!("its CMS signature is of {proven}")));
    team
}

/// Tries the RSA signature, and gives its signer's certificate.
fn rsa_signature(archive: &Archive<'_>, rsa: &Signature<'_>, cms: &Signature<'_>) -> Result<Certificate, String> {
    if rsa.certificates != cms.certificates {
        return Err("it has other certificates than the CMS signature".into());
    }
    let leaf = listed(rsa)?.into_iter().next().ok_or("it has no certificate")?;
    let algorithm = match archive.style {
        Style::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Style::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    // To Apple's tools the checksum is the hash that is signed, so what is signed is the table; to rcodesign it is a text, to
    // be hashed once more.
    let as_apple = certificates::is_signed_with(&leaf, algorithm, archive.toc, rsa.bytes);
    let as_rcodesign = || certificates::is_signed_with(&leaf, &RSA_PKCS1_2048_8192_SHA256, archive.checksum, rsa.bytes);
    if as_apple || as_rcodesign() {
        Ok(leaf)
    } else {
        Err("it does not fit the table of contents and its certificate".into())
    }
}

/// The names of the certificates that a package lists, the signer's first.
pub fn authorities(archive: &Archive<'_>) -> Result<Vec<String>, String> {
    let Some(signature) = &archive.rsa else { return Ok(Vec::new()) };
    Ok(listed(signature)?.iter().map(who).collect())
}

fn listed(signature: &Signature<'_>) -> Result<Vec<Certificate>, String> {
    let read =
        |der: &Vec<u8>| Certificate::from_der(der).map_err(|error| format!("a certificate in the table: {error}"));
    signature.certificates.iter().map(read).collect()
}

/// Tries a signer's certificate and time, and says who it is.
fn signer(signed: &Signed, trust: &Trust, purpose: Purpose, demands: &Demands) -> Result<String, String> {
    let time = signed.time()?;
    let at = time.as_ref().map_or(demands.now, |(time, _)| *time);
    let chain = certificates::chain(&signed.leaf, &signed.certificates, trust, purpose, at)?;
    let names: Vec<_> = chain.iter().map(who).collect();
    let mut said = names.join(", issued by ");
    match time {
        Some((time, token)) => {
            let chain = certificates::chain(&token.leaf, &token.certificates, trust, Purpose::Timestamps, time)
                .map_err(|problem| format!("secure time: {problem}"))?;
            // Nothing else covers what the token brings along.
            if !token.certificates.iter().all(|certificate| chain.contains(certificate)) {
                return Err("secure time: it brings certificates along that do not lead to its signer".into());
            }
            let time = i64::try_from(time).ok().and_then(|time| jiff::Timestamp::from_second(time).ok());
            said.push_str(&time.map(|time| format!(", at {time}")).unwrap_or_default());
        }
        None if demands.secure_time => return Err("no secure time is written beside it".into()),
        None => {}
    }
    Ok(said)
}

fn who(certificate: &Certificate) -> String {
    name(certificate).unwrap_or_else(|| "somebody without a name".into())
}
