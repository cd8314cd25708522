//! A key that signs and the certificates that say whose it is, out of PEM or PKCS #12.

use std::fmt;

use anyhow::{Context, bail, ensure};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use x509_cert::Certificate;
use zeroize::Zeroizing;

use crate::pkg::sign::{Key, pem_of};
use crate::pkg::verify;

/// A key pair that ring signs with.
pub(super) enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
}

/// A key and its certificates.
pub(super) struct Identity {
    /// Of whom it is, for people.
    pub(super) name: String,
    /// The signer's.
    pub(super) certificate: Certificate,
    /// Those between it and its root, and perhaps that.
    pub(super) others: Vec<Certificate>,
    pair: Pair,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.name)
    }
}

impl Identity {
    /// Reads a key of a file.
    pub(super) fn read(key: &Key, now: u64) -> anyhow::Result<Self> {
        let (pem, path) = pem_of(key)?;
        Self::parse(&pem, now).with_context(|| path.display().to_string())
    }

    fn parse(pem: &[u8], now: u64) -> anyhow::Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(pem).ok().context("there is no private key in it that can be read")?;
        let pair = Pair::read(&key)?;
        let mut certificates = Vec::new();
        for (certificate, _) in verify::of_pem(pem)? {
            // A chain often begins with the signer's, and CMS has a set of them.
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        let of_key = |certificate: &Certificate| {
            let key = certificate.tbs_certificate.subject_public_key_info.subject_public_key.as_bytes();
            key == Some(pair.public())
        };
        let at = certificates.iter().position(of_key).context("none of the certificates in it is of the key in it")?;
        let certificate = certificates.remove(at);
        let validity = certificate.tbs_certificate.validity;
        let ends = validity.not_after.to_unix_duration().as_secs();
        ensure!(
            now < ends && validity.not_before.to_unix_duration().as_secs() <= now,
            "its certificate does not hold now"
        );
        let name = verify::name(&certificate).unwrap_or_else(|| certificate.tbs_certificate.subject.to_string());
        Ok(Self { name, certificate, others: certificates, pair })
    }

    /// Which pair it is.
    pub(super) fn pair(&self) -> &Pair {
        &self.pair
    }

    /// The signature of a message.
    pub(super) fn sign(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().into())
            }
        };
        signature.ok().context("the key signs nothing")
    }
}

impl Pair {
    fn read(key: &PrivateKeyDer<'_>) -> anyhow::Result<Self> {
        let der = Zeroizing::new(key.secret_der().to_vec());
        let rsa = match key {
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(&der),
            _ => RsaKeyPair::from_pkcs8(&der),
        };
        if let Ok(pair) = rsa {
            return Ok(Self::Rsa(pair));
        }
        let random = SystemRandom::new();
        let ec = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, &der, &random).ok();
        let p256 = ec(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Self::P256);
        match p256.or_else(|| ec(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Self::P384)) {
            Some(pair) => Ok(pair),
            None => bail!(
                "the key in it is none that signs here: RSA of 2048 bits and more, or EC (P-256, P-384), as PKCS #8 (openssl \
                 pkcs8 -topk8 -nocrypt)"
            ),
        }
    }

    fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(pair) => pair.public_key().as_ref(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref(),
        }
    }
}
