//! Signatures of AWS for requests to API Gateway — AWS Signature Version 4.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use secrecy::{ExposeSecret, SecretString};

use crate::base::env::Request;
use crate::base::{Error, Result};

/// What API Gateway is called in signatures.
const SERVICE: &str = "execute-api";

/// Who signs, and for which region.
#[derive(Clone, Debug)]
pub struct AwsSigner {
    /// The id of the access key.
    pub access_key_id: String,
    /// The access key.
    pub secret_access_key: SecretString,
    /// The token of a session, of temporary credentials.
    pub session_token: Option<SecretString>,
    /// The region.
    pub region: String,
}

impl AwsSigner {
    /// Adds the headers of a signature that is good now.
    ///
    /// # Errors
    /// When the request cannot be signed: an address or a header that is none.
    pub fn sign(&self, request: &mut Request) -> Result<()> {
        self.sign_at(request, SystemTime::now())
    }

    fn sign_at(&self, request: &mut Request, time: SystemTime) -> Result<()> {
        let refused = |what: &str| Error::usage(format!("the request cannot be signed: {what}"));
        let token = self.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let secret = self.secret_access_key.expose_secret();
        let identity = Credentials::new(self.access_key_id.as_str(), secret, token, None, "drm-pack").into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| refused("something of the account is missing"))?
            .into();
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(request.method, request.url.as_str(), headers, body);
        let signable = signable.map_err(|_| refused("address or headers are not fit for it"))?;
        let signed =
            sign(signable, &parameters).map_err(|_| refused("address or headers are not fit for it"))?;
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        request.headers.extend(headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(())
    }
}

/// The region in the address of an API.
pub fn region_of(host: &str) -> Option<&str> {
    host.split_once(&format!(".{SERVICE}."))?.1.split_once(".amazonaws.")?.0.split('.').next()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_is_signed_for_its_region_service_and_time() {
        let mut request = Request {
            method: "POST",
            url: "https://a1.execute-api.eu-west-1.amazonaws.com/prod/copyProtection?x=1".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/xml".to_owned())],
            body: b"<CPIX/>".to_vec(),
        };
        let signer = AwsSigner {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: SecretString::from("marked"),
            session_token: Some(SecretString::from("session")),
            region: region_of("a1.execute-api.eu-west-1.amazonaws.com").unwrap().to_owned(),
        };
        signer.sign_at(&mut request, SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)).unwrap();
        let header = |name: &str| {
            let found = request.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value)
        };
        assert_eq!((header("x-amz-date"), header("x-amz-security-token")), ("20150830T123600Z", "session"));
        let authorization = header("authorization");
        let scope = "Credential=AKIDEXAMPLE/20150830/eu-west-1/execute-api/aws4_request";
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 ") && authorization.contains(scope),
            "{authorization}"
        );
        assert!(
            authorization.contains("content-type;host;x-amz-date;x-amz-security-token"),
            "{authorization}"
        );
        assert!(!format!("{signer:?} {:?}", request.headers).contains("marked"));
        assert!(region_of("keys.example").is_none());
    }
}
