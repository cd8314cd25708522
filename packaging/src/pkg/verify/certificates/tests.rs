use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::*;

/// Within the validity of what is made here: 1 January 2026.
const NOW: u64 = 1_767_225_600;
const INSTALLER: &[u64] = &[1, 2, 840, 113_635, 100, 4, 13];

fn key() -> KeyPair {
    KeyPair::from_pem(&development::rsa_key().unwrap()).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn authority(name: &str, below: u8) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn installer() -> CertificateParams {
    let mut params = params("installer");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(INSTALLER.into())];
    params
}

fn read(certificate: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(certificate.der()).unwrap()
}

struct Made {
    root: Certificate,
    middle: Certificate,
    leaf: Certificate,
}

/// What makes a chain bad.
type Change<'a> = &'a dyn Fn(&mut [CertificateParams; 3]);

/// A root, who it lets issue, and who is issued to.
fn made_of(root: CertificateParams, middle: CertificateParams, leaf: CertificateParams, keys: &[KeyPair; 3]) -> Made {
    let root_certificate = root.self_signed(&keys[0]).unwrap();
    let root_issuer = Issuer::from_params(&root, &keys[0]);
    let middle_certificate = middle.signed_by(&keys[1], &root_issuer).unwrap();
    let middle_issuer = Issuer::from_params(&middle, &keys[1]);
    let leaf = leaf.signed_by(&keys[2], &middle_issuer).unwrap();
    Made { root: read(&root_certificate), middle: read(&middle_certificate), leaf: read(&leaf) }
}

#[test]
fn keys_of_each_kind_issue_and_are_issued_to() {
    let curve = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    let mut keys = [key(), curve(&rcgen::PKCS_ECDSA_P256_SHA256), curve(&rcgen::PKCS_ECDSA_P384_SHA384)];
    for first in 0..keys.len() {
        keys.rotate_left(1);
        let Made { root, middle, leaf } = made_of(authority("root", 1), authority("middle", 0), installer(), &keys);
        assert!(is_issued_by(&leaf, &middle) && is_issued_by(&middle, &root) && is_issued_by(&root, &root), "{first}");
        assert!(!is_issued_by(&leaf, &root) && !is_issued_by(&root, &middle), "{first}");
        let mut forged = leaf.clone();
        forged.tbs_certificate.subject = root.tbs_certificate.subject.clone();
        assert!(!is_issued_by(&forged, &middle), "{first}");
    }
}

#[test]
fn a_chain_leads_from_a_signer_to_an_anchor_or_says_why_it_does_not() {
    let keys = [key(), key(), key()];
    let good = |change: Change<'_>| {
        let mut all = [authority("root", 1), authority("middle", 0), installer()];
        change(&mut all);
        let [root, middle, leaf] = all;
        made_of(root, middle, leaf, &keys)
    };
    let check = |made: &Made, purpose, at| {
        let trust = Trust::Anchors(vec![made.root.clone()]);
        chain(&made.leaf, std::slice::from_ref(&made.middle), &trust, purpose, at).map(|chain| chain.len())
    };
    let made = good(&|_| ());
    assert_eq!(check(&made, Purpose::Installer, NOW), Ok(3));
    let purpose = check(&made, Purpose::Application, NOW).unwrap_err();
    assert!(purpose.contains("not for Developer ID Application (extended key usage)"), "{purpose}");
    for at in [0, 1_735_603_200, 1_800_000_000] {
        assert!(check(&made, Purpose::Installer, at).unwrap_err().contains("was not valid when it signed"), "{at}");
    }
    let unknown = |params: &mut CertificateParams| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    };
    let nobody = "issued by nobody who is trusted";
    let bad: [(Change<'_>, &str); 7] = [
        (&|all| all[1].is_ca = IsCa::ExplicitNoCa, nobody),
        (&|all| all[0].is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), nobody),
        (&|all| all[1].key_usages = vec![KeyUsagePurpose::DigitalSignature], nobody),
        (&|all| unknown(&mut all[1]), nobody),
        (&|all| unknown(&mut all[2]), "critical extension 1.2.3.4"),
        (&|all| all[2].key_usages = vec![KeyUsagePurpose::KeyAgreement], "(key usage)"),
        (&|all| all[1].not_after = date_time_ymd(2025, 6, 1), "the certificate of middle was not valid"),
    ];
    for (change, expected) in bad {
        let told = check(&good(change), Purpose::Installer, NOW).unwrap_err();
        assert!(told.contains(expected), "{expected}: {told}");
    }
    // Who calls himself the same and has another key.
    let other = Made {
        root: good(&|_| ()).root,
        ..made_of(authority("root", 1), authority("middle", 0), installer(), &[key(), key(), key()])
    };
    assert!(check(&other, Purpose::Installer, NOW).unwrap_err().contains(nobody));
    // Nobody of these is Apple's, or a pair for development.
    for trust in [Trust::Apple, Trust::Development] {
        let told = chain(&made.leaf, &[made.middle.clone(), made.root.clone()], &trust, Purpose::Installer, NOW);
        assert!(told.unwrap_err().contains("Apple's mark is missing"));
    }
}

#[test]
fn the_root_is_the_one_whose_fingerprint_apple_publishes() {
    let root = Certificate::from_pem(APPLE_ROOT_CA).unwrap();
    let fingerprint = ring::digest::digest(&ring::digest::SHA256, &root.to_der().unwrap());
    let published = "b0b1730ecbc7ff4505142c49f1295e6eda6bcaed7e2c68c5be91b5a11001f024";
    assert_eq!(data_encoding::HEXLOWER.encode(fingerprint.as_ref()), published);
    assert!(is_issued_by(&root, &root) && may_issue(&root, 1));
}

#[test]
fn who_issues_developer_ids_leads_to_apples_root() {
    let root = Certificate::from_pem(APPLE_ROOT_CA).unwrap();
    for pem in [include_str!("developer-id-ca.pem"), include_str!("developer-id-ca-g2.pem")] {
        let authority = Certificate::from_pem(pem).unwrap();
        assert!(is_issued_by(&authority, &root) && may_issue(&authority, 0));
        assert!(extension(&authority, DEVELOPER_ID_CA).is_some());
    }
}
