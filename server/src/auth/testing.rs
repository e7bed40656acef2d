//! Makes keys and tokens for tests: any text as header and claims.

use super::{TokenAlgorithm, TokenKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING};
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

/// A key that signs.
pub(crate) struct Signer {
    pub(crate) algorithm: TokenAlgorithm,
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn secret(secret: &[u8]) -> Self {
        let none = || String::new();
        let key = EncodingKey::from_secret(secret);
        Self { algorithm: TokenAlgorithm::Hs256, private_pem: none(), public_pem: none(), key }
    }

    pub(crate) fn rsa() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::of(TokenAlgorithm::Rs256, private.as_ref(), public.as_ref(), EncodingKey::from_rsa_pem)
    }

    pub(crate) fn es256() -> Self {
        Self::curve(TokenAlgorithm::Es256, &ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn es384() -> Self {
        Self::curve(TokenAlgorithm::Es384, &ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    fn curve(algorithm: TokenAlgorithm, kind: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(kind).unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::of(algorithm, private.as_ref(), public.as_ref(), EncodingKey::from_ec_pem)
    }

    pub(crate) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let private = pair.to_pkcs8v1().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        Self::of(TokenAlgorithm::EdDsa, private.as_ref(), public.as_ref(), EncodingKey::from_ed_pem)
    }

    fn of(
        algorithm: TokenAlgorithm,
        private: &[u8],
        public: &[u8],
        read: fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    ) -> Self {
        let (private_pem, public_pem) = (pem("PRIVATE KEY", private), pem("PUBLIC KEY", public));
        let key = read(private_pem.as_bytes()).unwrap();
        Self { algorithm, private_pem, public_pem, key }
    }

    /// The key that verifies.
    pub(crate) fn public(&self) -> TokenKey {
        TokenKey::pem(self.algorithm, &self.public_pem).unwrap()
    }

    /// A token of any two texts, with a right signature.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_bytes(header.as_bytes(), claims.as_bytes())
    }

    /// The same for texts that need not be UTF-8.
    pub(crate) fn sign_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        self.sign_encoded(&format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(claims)))
    }

    /// A token of a header and claims that are encoded already, well or badly.
    pub(crate) fn sign_encoded(&self, signed: &str) -> String {
        let algorithm = match self.algorithm {
            TokenAlgorithm::Hs256 => Algorithm::HS256,
            TokenAlgorithm::Rs256 => Algorithm::RS256,
            TokenAlgorithm::Es256 => Algorithm::ES256,
            TokenAlgorithm::Es384 => Algorithm::ES384,
            TokenAlgorithm::EdDsa => Algorithm::EdDSA,
        };
        self.sign_as(algorithm, signed)
    }

    /// The same with another algorithm than that of the key. `signed` is the header and the claims, encoded.
    pub(crate) fn sign_as(&self, algorithm: Algorithm, signed: &str) -> String {
        let signature = crypto::sign(signed.as_bytes(), &self.key, algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

pub(crate) fn pem(label: &str, bytes: &[u8]) -> String {
    let text = BASE64.encode(bytes);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
