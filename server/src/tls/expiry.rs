//! When a certificate ends.

use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode as _;

/// The end of a certificate's validity (RFC 5280 section 4.1.2.5), in seconds since 1970-01-01 UTC; `None` if it cannot
/// be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    // No rules of a profile: a certificate that clients trust may break some of them.
    let certificate = CertificateInner::<Raw>::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_certificate_have_no_end() {
        for bytes in
            [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 2, 0x30, 0], &[0xff; 64]]
        {
            assert_eq!(not_after(bytes), None, "{bytes:?}");
        }
    }
}
