//! Content keys in ciphers: document key, MAC key, wrapped values — DASH-IF CPIX 2.3 §4, XML Encryption 1.0.

use aes::{Aes256Dec, Aes256Enc};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::read::{KEY_BYTES, attribute};
use super::recipient::{Certificate, RecipientKey};
use crate::base::env::Random;
use crate::base::{Error, Kid, Result, Secret, base64, from_base64};
use crate::xml::Element;

/// Content keys: AES-256 in CBC mode, the IV before the ciphertext.
pub(super) const AES256_CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";
/// Content keys, second choice: AES key wrap.
pub(super) const KW_AES256: &str = "http://www.w3.org/2001/04/xmlenc#kw-aes256";
/// Document and MAC keys: RSA-OAEP with SHA-1 and MGF1-SHA1.
pub(super) const RSA_OAEP: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
/// MACs of wrapped content keys.
pub(super) const HMAC_SHA512: &str = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha512";
const CLAUSE: &str = "DASH-IF CPIX 2.3 §4";
const BLOCK: usize = 16;
const DOCUMENT_KEY_BYTES: usize = 32;
const MAC_KEY_BYTES: usize = 64;

/// The keys that a document gives one recipient.
pub(super) struct DocumentKeys {
    /// `DocumentKey` elements: the key ids of `@encryptsKey`, none for all, and the key.
    keys: Vec<(Vec<Kid>, Secret<DOCUMENT_KEY_BYTES>)>,
    /// The key of `MACMethod`, when there is one.
    mac_key: Option<Zeroizing<Vec<u8>>>,
}

impl DocumentKeys {
    /// Opens the `DeliveryData` that is for one of these recipients; every one is tried.
    pub(super) fn open(root: &Element, recipients: &[RecipientKey]) -> Result<Self> {
        let deliveries: Vec<_> =
            root.named("DeliveryDataList").flat_map(|list| list.named("DeliveryData")).collect();
        if recipients.is_empty() {
            return Err(Error::keys(format!(
                "the content keys are encrypted (EncryptedValue), for {} recipients",
                deliveries.len()
            ))
            .hint("give the private key of one, or ask the key server for plain values over TLS"));
        }
        for delivery in &deliveries {
            for recipient in recipients {
                if let Some(keys) =
                    Self::open_one(delivery, recipient).map_err(|error| error.at("DeliveryData"))?
                {
                    return Ok(keys);
                }
            }
        }
        Err(Error::keys(format!(
            "none of the {} DeliveryData elements is for the recipient key",
            deliveries.len()
        ))
        .clause(CLAUSE))
    }

    fn open_one(delivery: &Element, recipient: &RecipientKey) -> Result<Option<Self>> {
        let mut keys = Vec::new();
        for element in delivery.named("DocumentKey") {
            let place = |error: Error| error.at("DocumentKey");
            let Some(bytes) = unwrap_rsa(element, recipient).map_err(place)? else { return Ok(None) };
            let key = <[u8; DOCUMENT_KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| {
                place(Error::input(format!(
                    "document key of {} bytes, expected {DOCUMENT_KEY_BYTES}",
                    bytes.len()
                )))
            })?;
            let encrypts = attribute(element, "encryptsKey").map_err(place)?.unwrap_or_default();
            let kids = encrypts.split_ascii_whitespace().map(Kid::parse).collect::<Result<_>>();
            keys.push((kids.map_err(place)?, Secret::new(key)));
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let mac_key = delivery
            .child("MACMethod")
            .map(|method| mac_key(method, recipient).map_err(|error| error.at("MACMethod")))
            .transpose()?;
        Ok(Some(Self { keys, mac_key }))
    }

    /// The content key inside `Secret`: its MAC is checked before anything is decrypted.
    pub(super) fn content_key(&self, kid: Kid, secret: &Element) -> Result<Secret<KEY_BYTES>> {
        let value =
            secret.child("EncryptedValue").ok_or_else(|| Error::input("there is no EncryptedValue"))?;
        let cipher = cipher_value(value)?;
        if let Some(mac_key) = &self.mac_key {
            check_mac(mac_key, &cipher, secret)?;
        }
        let named = self.keys.iter().find(|(kids, _)| kids.contains(&kid));
        let (_, key) =
            named.or_else(|| self.keys.iter().find(|(kids, _)| kids.is_empty())).ok_or_else(|| {
                Error::keys("no DocumentKey encrypts this key").clause("DASH-IF CPIX 2.4 §4, @encryptsKey")
            })?;
        let bytes = match algorithm(value)?.as_deref() {
            None | Some(AES256_CBC) => decrypt_cbc(key, &cipher)?,
            Some(KW_AES256) => unwrap_aes(key, &cipher)?,
            Some(other) => {
                return Err(
                    Error::unsupported(format!("content key encrypted with {other:?}")).clause(CLAUSE)
                );
            }
        };
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map(Zeroizing::new).map_err(|_| {
            Error::input(format!("content key of {} bytes, expected {KEY_BYTES}", bytes.len()))
        })?;
        Ok(Secret::new(*key))
    }
}

/// `EncryptionMethod/@Algorithm` of an `EncryptedData`.
fn algorithm(value: &Element) -> Result<Option<String>> {
    value.child("EncryptionMethod").map_or(Ok(None), |method| attribute(method, "Algorithm"))
}

/// The element and all below it, in document order.
fn find<'a>(element: &'a Element, name: &str) -> Option<&'a Element> {
    element
        .elements()
        .find_map(|child| if child.local_name() == name { Some(child) } else { find(child, name) })
}

/// `CipherData/CipherValue`, decoded, wherever it stands: the key of `MACMethod` comes in three shapes.
fn cipher_value(element: &Element) -> Result<Vec<u8>> {
    let value = find(element, "CipherValue")
        .ok_or_else(|| Error::input("there is no CipherValue").clause("XML Encryption 1.0 §3.3"))?;
    from_base64(&value.text()?).map_err(|error| error.at("CipherValue"))
}

/// The key that was wrapped for this recipient, `None` when it is for another.
fn unwrap_rsa(element: &Element, recipient: &RecipientKey) -> Result<Option<Zeroizing<Vec<u8>>>> {
    // In SPEKE requests a recipient is named before there is a key for it.
    if find(element, "CipherValue").is_none() {
        return Ok(None);
    }
    if let Some(method) = find(element, "EncryptionMethod") {
        let digest = method.child("DigestMethod").map(|digest| attribute(digest, "Algorithm")).transpose()?;
        for (found, expected) in [(attribute(method, "Algorithm")?, RSA_OAEP), (digest.flatten(), SHA1)] {
            if let Some(found) = found.filter(|found| found != expected) {
                return Err(Error::unsupported(format!("key transport {found:?}, expected {expected:?}"))
                    .clause(CLAUSE));
            }
        }
    }
    Ok(recipient.open(&cipher_value(element)?))
}

fn mac_key(method: &Element, recipient: &RecipientKey) -> Result<Zeroizing<Vec<u8>>> {
    let found = attribute(method, "Algorithm")?.unwrap_or_default();
    if !found.is_empty() && found != HMAC_SHA512 {
        return Err(Error::unsupported(format!("MAC {found:?}, expected {HMAC_SHA512:?}")).clause(CLAUSE));
    }
    unwrap_rsa(method, recipient)?.ok_or_else(|| {
        Error::input("the MAC key is not for the recipient of the document key").clause(CLAUSE)
    })
}

/// Compares in constant time.
fn check_mac(key: &[u8], cipher: &[u8], secret: &Element) -> Result<()> {
    let found = secret.child("ValueMAC").ok_or_else(|| {
        Error::input("there is a MACMethod, but the encrypted value has no ValueMAC").clause(CLAUSE)
    })?;
    let found = from_base64(&found.text()?).map_err(|error| error.at("ValueMAC"))?;
    let mac = keyed(key)?.chain_update(cipher);
    mac.verify_slice(&found).map_err(|_| {
        Error::input("the ValueMAC is not that of the encrypted value: the value or the MAC was changed")
            .clause(CLAUSE)
    })
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha512>> {
    <Hmac<Sha512> as KeyInit>::new_from_slice(key)
        .map_err(|_| Error::input(format!("MAC key of {} bytes", key.len())))
}

/// XML Encryption 1.0 §5.2: the IV comes first; of the padding only the last byte is defined.
fn decrypt_cbc(key: &Secret<DOCUMENT_KEY_BYTES>, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = || {
        Error::input(format!("encrypted value of {} bytes, expected an IV and whole blocks", cipher.len()))
            .clause("XML Encryption 1.0 §5.2")
    };
    let (blocks, []) = cipher.as_chunks::<BLOCK>() else { return Err(wrong()) };
    let (mut chain, blocks) = blocks.split_first().map(|(iv, blocks)| (*iv, blocks)).ok_or_else(wrong)?;
    let aes = Aes256Dec::new(key.expose().into());
    let mut plain = Zeroizing::new(Vec::new());
    for block in blocks {
        let mut text = Zeroizing::new(*block);
        aes.decrypt_block((&mut *text).into());
        plain.extend(text.iter().zip(chain).map(|(byte, mask)| byte ^ mask));
        chain = *block;
    }
    let padding = usize::from(plain.last().copied().ok_or_else(wrong)?);
    if padding == 0 || padding > BLOCK {
        return Err(Error::input("the padding of the decrypted value is not 1 to 16 bytes long")
            .clause("XML Encryption 1.0 §5.2"));
    }
    let length = plain.len() - padding;
    plain.truncate(length);
    Ok(plain)
}

fn encrypt_cbc(key: &Secret<DOCUMENT_KEY_BYTES>, iv: [u8; BLOCK], plain: &Secret<KEY_BYTES>) -> Vec<u8> {
    let aes = Aes256Enc::new(key.expose().into());
    let mut out = iv.to_vec();
    let mut chain = iv;
    // A whole block of padding follows a key of one block.
    for block in [plain.expose(), &[16; BLOCK]] {
        chain.iter_mut().zip(block).for_each(|(mask, byte)| *mask ^= byte);
        aes.encrypt_block((&mut chain).into());
        out.extend(chain);
    }
    out
}

/// RFC 3394 §2.2.2.
fn unwrap_aes(key: &Secret<DOCUMENT_KEY_BYTES>, cipher: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let wrong =
        || Error::input("the wrapped key is not intact under the document key").clause("RFC 3394 §2.2.2");
    let wrapping = AesKek::new(&AES_256, key.expose()).map_err(|_| wrong())?;
    let mut output = Zeroizing::new(vec![0; cipher.len()]);
    let length = wrapping.unwrap(cipher, &mut output).map_err(|_| wrong())?.len();
    output.truncate(length);
    Ok(output)
}

/// Fresh keys of one document that is being encrypted.
pub(super) struct Envelope<'a> {
    document_key: Secret<DOCUMENT_KEY_BYTES>,
    mac_key: Secret<MAC_KEY_BYTES>,
    random: &'a dyn Random,
}

impl<'a> Envelope<'a> {
    /// Draws both keys.
    pub(super) fn new(random: &'a dyn Random) -> Result<Self> {
        let mut document_key = Zeroizing::new([0; DOCUMENT_KEY_BYTES]);
        let mut mac_key = Zeroizing::new([0; MAC_KEY_BYTES]);
        random.fill(document_key.as_mut_slice())?;
        random.fill(mac_key.as_mut_slice())?;
        Ok(Self { document_key: Secret::new(*document_key), mac_key: Secret::new(*mac_key), random })
    }

    /// The children of `Secret` for this content key.
    pub(super) fn secret(&self, key: &Secret<KEY_BYTES>) -> Result<String> {
        let mut iv = [0; BLOCK];
        self.random.fill(&mut iv)?;
        let cipher = encrypt_cbc(&self.document_key, iv, key);
        let mac = keyed(self.mac_key.expose())?.chain_update(&cipher).finalize().into_bytes();
        let data = encrypted_data(AES256_CBC, &cipher);
        Ok(format!(
            "<pskc:EncryptedValue>{data}</pskc:EncryptedValue><pskc:ValueMAC>{}</pskc:ValueMAC>",
            base64(&mac)
        ))
    }

    /// `DocumentKey` and `MACMethod` for this recipient; `p` is the prefix of CPIX elements with its colon.
    /// `algorithm` is the attribute that CPIX 2.4 no longer has.
    pub(super) fn keys_for(
        &self,
        recipient: &Certificate,
        p: &str,
        algorithm: Option<&str>,
    ) -> Result<[String; 2]> {
        let document_key = encrypted_data(RSA_OAEP, &recipient.seal(self.document_key.expose())?);
        let mac_key = encrypted_data(RSA_OAEP, &recipient.seal(self.mac_key.expose())?);
        let algorithm = algorithm.map(|name| format!(" Algorithm=\"{name}\"")).unwrap_or_default();
        Ok([
            format!(
                "<{p}DocumentKey{algorithm}><{p}Data><pskc:Secret><pskc:EncryptedValue>{document_key}\
                 </pskc:EncryptedValue></pskc:Secret></{p}Data></{p}DocumentKey>"
            ),
            format!("<{p}MACMethod Algorithm=\"{HMAC_SHA512}\"><{p}Key>{mac_key}</{p}Key></{p}MACMethod>"),
        ])
    }
}

fn encrypted_data(algorithm: &str, cipher: &[u8]) -> String {
    format!(
        "<enc:EncryptionMethod Algorithm=\"{algorithm}\"/><enc:CipherData><enc:CipherValue>{}\
         </enc:CipherValue></enc:CipherData>",
        base64(cipher)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret<32> {
        Secret::new(std::array::from_fn(|index| u8::try_from(index).unwrap()))
    }

    #[test]
    fn cbc_is_undone_whatever_the_first_bytes_of_the_padding() {
        let plain = Secret::new(*b"0123456789abcdef");
        let mut cipher = encrypt_cbc(&key(), [7; 16], &plain);
        assert_eq!(decrypt_cbc(&key(), &cipher).unwrap().as_slice(), plain.expose());
        // Only the last byte of the padding counts: all others change with the block before.
        cipher[16] ^= 0xff;
        assert_eq!(decrypt_cbc(&key(), &cipher).unwrap().len(), 16);
        cipher[31] ^= 0xff;
        assert!(decrypt_cbc(&key(), &cipher).is_err());
        for length in 0..32 {
            assert!(decrypt_cbc(&key(), &cipher[..length]).is_err());
        }
    }

    #[test]
    fn a_wrapped_key_is_unwrapped() {
        // RFC 3394 §4.3: 128 bits of key data with a 256-bit key.
        let wrapped = [
            0x64, 0xe8, 0xc3, 0xf9, 0xce, 0x0f, 0x5b, 0xa2, 0x63, 0xe9, 0x77, 0x79, 0x05, 0x81, 0x8a, 0x2a,
            0x93, 0xc8, 0x19, 0x1e, 0x7d, 0x6e, 0x8a, 0xe7,
        ];
        let plain = unwrap_aes(&key(), &wrapped).unwrap();
        assert_eq!(plain[..4], [0x00, 0x11, 0x22, 0x33]);
        assert_eq!(plain.len(), 16);
        let mut changed = wrapped;
        changed[3] ^= 1;
        assert!(unwrap_aes(&key(), &changed).is_err());
        assert!(unwrap_aes(&key(), &[]).is_err());
    }
}
