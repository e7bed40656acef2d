//! Which keys are taken, and which key verifies which token.

use super::*;
use crate::auth::testing::{Signer, pem};

fn secret() -> TokenKey {
    TokenKey::secret(&[7; 32]).unwrap()
}

fn with_id(id: &str) -> TokenKey {
    TokenKey { id: Some(id.into()), ..secret() }
}

#[test]
fn a_secret_has_32_bytes_and_is_neither_a_key_in_pem_nor_an_example() {
    assert_eq!(TokenKey::secret(&[7; 31]).unwrap_err(), InvalidKey::ShortSecret);
    assert!(TokenKey::secret(&[7; 32]).is_ok());
    assert_eq!(TokenKey::secret(b"").unwrap_err(), InvalidKey::ShortSecret);
    let public = Signer::rsa().public_pem;
    assert_eq!(TokenKey::secret(public.as_bytes()).unwrap_err(), InvalidKey::PemAsSecret);
    assert_eq!(TokenKey::secret(format!("\n {public}").as_bytes()).unwrap_err(), InvalidKey::PemAsSecret);
    for example in EXAMPLE_SECRETS {
        assert_eq!(TokenKey::secret(example.as_bytes()).unwrap_err(), InvalidKey::ExampleSecret, "{example}");
    }
}

#[test]
fn a_public_key_in_pem_is_taken_for_its_own_algorithm_alone() {
    for signer in [Signer::rsa(), Signer::es256(), Signer::es384(), Signer::ed25519()] {
        for algorithm in TokenAlgorithm::ALL {
            let key = TokenKey::pem(algorithm, &signer.public_pem);
            match key {
                Ok(key) => assert_eq!((algorithm, key.algorithm()), (signer.algorithm, signer.algorithm)),
                Err(fault) if algorithm == TokenAlgorithm::Hs256 => assert_eq!(fault, InvalidKey::PemAsSecret),
                Err(fault) => {
                    assert_ne!(algorithm, signer.algorithm);
                    assert_eq!(fault, InvalidKey::NotFor(algorithm), "{algorithm} with {}", signer.algorithm);
                }
            }
        }
    }
}

#[test]
fn what_is_no_public_key_in_pem_is_named() {
    let signer = Signer::rsa();
    let read = |text: &str| TokenKey::pem(TokenAlgorithm::Rs256, text).unwrap_err();
    assert_eq!(read(""), InvalidKey::NotPem);
    assert_eq!(read("ssh-rsa AAAA"), InvalidKey::NotPem);
    assert_eq!(read(&signer.private_pem), InvalidKey::PrivateKey);
    assert_eq!(read(&pem("ENCRYPTED PRIVATE KEY", b"x")), InvalidKey::PrivateKey);
    assert_eq!(read(&pem("CERTIFICATE", b"x")), InvalidKey::Certificate);
    assert_eq!(read(&pem("X509 CRL", b"x")), InvalidKey::NotPem);
    assert_eq!(read(&signer.public_pem.repeat(2)), InvalidKey::SeveralKeys);
    assert_eq!(read(&pem("PUBLIC KEY", b"damaged")), InvalidKey::NotFor(TokenAlgorithm::Rs256));
}

#[test]
fn an_rsa_key_has_2048_bits() {
    let bits = |bytes: usize| TokenKey::rsa(&vec![0xff; bytes], &[1, 0, 1]).map(drop);
    assert_eq!(bits(255), Err(InvalidKey::SmallRsa));
    assert_eq!(bits(256), Ok(()));
    assert_eq!(TokenKey::rsa(&[&[0x7f][..], &[0xff; 255]].concat(), &[1, 0, 1]).unwrap_err(), InvalidKey::SmallRsa);
    assert_eq!(TokenKey::rsa(&[], &[]).unwrap_err(), InvalidKey::NotFor(TokenAlgorithm::Rs256));
}

#[test]
fn a_set_has_a_key_and_no_two_with_one_id() {
    assert_eq!(KeySet::new(Vec::new()).unwrap_err(), InvalidKeySet::Empty);
    assert_eq!(KeySet::new(vec![with_id("a"), with_id("a")]).unwrap_err(), InvalidKeySet::SameId("a".into()));
    assert!(KeySet::new(vec![with_id("a"), with_id("b"), secret(), secret()]).is_ok());
}

#[test]
fn a_token_with_an_id_is_verified_by_that_key_and_no_other() {
    let ed = TokenKey::pem(TokenAlgorithm::EdDsa, &Signer::ed25519().public_pem).unwrap();
    let keys = KeySet::new(vec![with_id("a"), with_id("b"), ed]).unwrap();
    let find = |id, algorithm| keys.find(id, algorithm, 0).map(|key| key.id.as_deref());
    assert_eq!(find(Some("b"), "HS256"), Ok(Some("b")));
    assert_eq!(find(Some("c"), "HS256"), Err(TokenFault::UnknownKey));
    assert_eq!(find(Some(""), "EdDSA"), Err(TokenFault::UnknownKey));
    assert_eq!(find(Some("a"), "EdDSA"), Err(TokenFault::Algorithm));
    assert_eq!(find(None, "HS256"), Err(TokenFault::AmbiguousKey));
    assert_eq!(find(None, "EdDSA"), Ok(None));
    assert_eq!(find(None, "Ed25519"), Ok(None), "the other name of the same algorithm");
    assert_eq!(find(None, "RS256"), Err(TokenFault::Algorithm));
    assert_eq!(find(None, "none"), Err(TokenFault::Algorithm));
}

#[test]
fn a_key_that_is_over_makes_room_for_the_next_one() {
    let old = TokenKey { not_after: Some(100), ..with_id("old") };
    let keys = KeySet::new(vec![old, with_id("new")]).unwrap();
    let find = |id, now| keys.find(id, "HS256", now).map(|key| key.id.as_deref().unwrap());
    assert_eq!(find(Some("old"), 99), Ok("old"));
    assert_eq!(find(Some("old"), 100), Err(TokenFault::KeyOver));
    assert_eq!(find(None, 99), Err(TokenFault::AmbiguousKey));
    assert_eq!(find(None, 100), Ok("new"));
    let keys = KeySet::new(vec![TokenKey { not_after: Some(100), ..secret() }]).unwrap();
    assert_eq!(keys.find(None, "HS256", 100).unwrap_err(), TokenFault::KeyOver);
}

#[test]
fn nothing_prints_a_key() {
    let key = TokenKey::secret(b"correct horse battery staple 1234").unwrap();
    assert!(!format!("{key:?} {:?}", KeySet::new(vec![key.clone()])).contains("horse"));
}
