//! Certificates of NATS servers: a private authority and what it signs, or somebody's own, held against their key, their
//! names and the time. Pure: days are arguments.
//!
//! The authority's name is made of its key, so that the key is enough to sign again.

use std::time::Duration;

use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, date_time_ymd,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};

/// How long the authority's certificate holds, in years.
const AUTHORITY_YEARS: i32 = 10;
/// How long a server's certificate holds, in days.
pub const SERVER_DAYS: i32 = 365;
/// Names that every server has: those of its own machine.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Begins the line that tells the names, above the certificate.
const NAMES: &str = "Names: ";

/// Why there is no certificate that would do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The name is none of a machine.
    #[error("{0:?} is no name or address of a machine, such as nats.example.com or 192.0.2.7")]
    Name(String),
    /// Nothing of the kind is in the PEM file.
    #[error("no {0} is in it: it has to be PEM")]
    Pem(&'static str),
    /// Another key's.
    #[error("the key is not that of the certificate")]
    Key,
    /// Not signed by the authority, expired, or of other names.
    #[error("the certificate does not do for {name}: {} ({reason})", about(reason))]
    Certificate {
        /// The name it was asked for.
        name: String,
        /// What is wrong.
        reason: rustls::Error,
    },
    /// The date is too far away.
    #[error("no certificate can be made for this date")]
    Date,
    /// A certificate cannot be made.
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Names and addresses of a server, checked; those of its own machine among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// `hosts`, and this machine.
    pub fn new(hosts: &[String]) -> Result<Self, TlsError> {
        let mut names = Vec::new();
        for host in hosts.iter().map(String::as_str).chain(OWN) {
            ServerName::try_from(host).map_err(|_| TlsError::Name(host.to_owned()))?;
            if !names.iter().any(|name| name == host) {
                names.push(host.to_owned());
            }
        }
        Ok(Self(names))
    }

    /// `hosts` alone: for a certificate that others made.
    pub fn only(hosts: &[String]) -> Result<Self, TlsError> {
        let all = Self::new(hosts)?;
        Ok(Self(all.0.into_iter().filter(|name| hosts.contains(name)).collect()))
    }

    /// As the line above a certificate tells them.
    pub fn of(pem: &str) -> Option<Self> {
        let line = pem.lines().find_map(|line| line.strip_prefix(NAMES))?;
        Self::new(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).ok()
    }

    /// The first: what others know it by.
    pub fn first(&self) -> &str {
        self.0.first().map_or("localhost", String::as_str)
    }
}

/// A certificate and its key, PEM. The key is a secret.
pub struct Pair {
    /// The certificate, with who signed it where that is not the root.
    pub certificate: String,
    /// The key.
    pub key: String,
}

/// A new authority.
pub fn authority(today: Date) -> Result<Pair, TlsError> {
    let key = KeyPair::generate()?;
    let mut params = authority_params(&key)?;
    valid(&mut params, today, jiff::Span::new().years(AUTHORITY_YEARS))?;
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// A server's certificate, signed with the authority's key (PEM).
pub fn server(authority_key: &str, names: &Names, today: Date) -> Result<Pair, TlsError> {
    let authority_key = KeyPair::from_pem(authority_key)?;
    let issuer = Issuer::new(authority_params(&authority_key)?, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.0.clone())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Servers of a cluster are each other's clients.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, today, jiff::Span::new().days(SERVER_DAYS))?;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(Pair { certificate: format!("{NAMES}{}\n{certificate}", names.0.join(" ")), key: key.serialize_pem() })
}

/// Whether `pair` does for a server of all these names at this time, for those who trust `roots` (PEM).
pub fn check(roots: &str, pair: &Pair, names: &Names, now: Duration) -> Result<(), TlsError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&pair.certificate).ok_or(TlsError::Pem("certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|_| TlsError::Pem("private key"))?;
    fits(chain.clone(), key, &provider)?;
    let mut store = RootCertStore::empty();
    for root in certificates(roots).ok_or(TlsError::Pem("certificate of an authority"))? {
        store.add(root).map_err(|_| TlsError::Pem("certificate of an authority"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider)
        .build()
        .map_err(|_| TlsError::Pem("certificate of an authority"))?;
    let (own, others) = chain.split_first().ok_or(TlsError::Pem("certificate"))?;
    for name in &names.0 {
        let server = ServerName::try_from(name.as_str()).map_err(|_| TlsError::Name(name.clone()))?;
        verifier
            .verify_server_cert(own, others, &server, &[], UnixTime::since_unix_epoch(now))
            .map_err(|reason| TlsError::Certificate { name: name.clone(), reason })?;
    }
    Ok(())
}

/// What is wrong with a certificate, and what would do.
fn about(reason: &rustls::Error) -> &'static str {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match reason {
        rustls::Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "the authority that is to be trusted has not signed it, or certificates between the two are missing below it"
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => "it is for other names",
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => "it has expired",
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => "it does not hold yet",
        // webpki's, which rustls has no name for.
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is that of an authority itself, as self-signed ones often are: give one that the authority signed for the server"
        }
        _ => "it cannot be used",
    }
}

fn fits(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<(), TlsError> {
    CertifiedKey::from_der(chain, key, provider).map(drop).map_err(|_| TlsError::Key)
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

fn authority_params(key: &KeyPair) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new([])?;
    let of_key = data_encoding::HEXLOWER.encode(&Sha256::digest(key.der_bytes())[..4]);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Emote CA {of_key}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// From the day before `today`, for clocks that are not all right, for so long.
fn valid(params: &mut CertificateParams, today: Date, long: jiff::Span) -> Result<(), TlsError> {
    let day = |date: Result<Date, jiff::Error>| {
        let date = date.map_err(|_| TlsError::Date)?;
        let (Ok(month), Ok(day)) = (u8::try_from(date.month()), u8::try_from(date.day())) else {
            return Err(TlsError::Date);
        };
        Ok(date_time_ymd(date.year().into(), month, day))
    };
    params.not_before = day(today.yesterday())?;
    params.not_after = day(today.checked_add(long))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> Date {
        jiff::civil::date(2026, 11, 26)
    }

    fn noon(date: Date) -> Duration {
        let noon = date.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        Duration::from_secs(noon.as_second().unsigned_abs())
    }

    fn names(hosts: &[&str]) -> Names {
        Names::new(&hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_server_is_trusted_by_whoever_trusts_the_authority_for_its_names_and_a_year() {
        let ca = authority(day()).unwrap();
        let names = names(&["nats.example.com"]);
        let pair = server(&ca.key, &names, day()).unwrap();
        assert_eq!(Names::of(&pair.certificate), Some(names.clone()));
        check(&ca.certificate, &pair, &names, noon(day())).unwrap();
        let later = day().checked_add(jiff::Span::new().days(SERVER_DAYS + 1)).unwrap();
        let error = check(&ca.certificate, &pair, &names, noon(later)).unwrap_err().to_string();
        assert!(error.contains("expired"), "{error}");
        let early = day().checked_sub(jiff::Span::new().days(2)).unwrap();
        assert!(check(&ca.certificate, &pair, &names, noon(early)).is_err());
        let renewed = server(&ca.key, &names, later).unwrap();
        check(&ca.certificate, &renewed, &names, noon(later)).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let (ca, other) = (authority(day()).unwrap(), authority(day()).unwrap());
        let here = names(&[]);
        let pair = server(&ca.key, &here, day()).unwrap();
        let told = |roots: &Pair, pair: &Pair, names: &Names| {
            check(&roots.certificate, pair, names, noon(day())).unwrap_err().to_string()
        };
        assert!(told(&other, &pair, &here).contains("the authority that is to be trusted has not signed it"));
        let its_own = told(&ca, &ca, &here);
        assert!(its_own.contains("is that of an authority itself"), "{its_own}");
        assert!(told(&ca, &pair, &names(&["nats.example.com"])).contains("nats.example.com: it is for other names"));
        let foreign = Pair { certificate: pair.certificate.clone(), key: other.key.clone() };
        assert_eq!(told(&ca, &foreign, &here), TlsError::Key.to_string());
        let none = Pair { certificate: String::new(), key: pair.key.clone() };
        assert!(told(&ca, &none, &here).contains("no certificate"));
        let none = Pair { certificate: pair.certificate.clone(), key: "what".into() };
        assert!(told(&ca, &none, &here).contains("no private key"));
    }

    #[test]
    fn names_are_those_of_machines() {
        assert_eq!(names(&["a.example", "localhost"]).0, ["a.example", "localhost", "127.0.0.1", "::1"]);
        for bad in ["", "a b", "https://a.example", "a.example:4222", "*", "a/b", "a\nb"] {
            assert!(Names::new(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }
}
