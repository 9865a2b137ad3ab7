//! The stored form of job data and results: plain JSON, or an envelope with compressed, encrypted JSON.
//!
//! An envelope is JSON itself, so that stock readers and dashboards list such jobs:
//! `{"$oxcart":1,"zip":"lz4","key":"2026-11","data":"<base64>"}`. The first member is the version; `zip` and `key` are there
//! when the content is compressed and encrypted. Encryption is AES-256-GCM with a random nonce, which stands before the
//! ciphertext; what stands beside `data` is authenticated too. A reader knows several keys, a writer uses one: so keys are
//! rotated by giving readers the new one first.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use serde::Deserialize;

use super::{JobRecord, Queue, scripts::StoredOutcome};
use crate::{
    codec::option_text::whole,
    error::{Error, ErrorCode, Result},
};

/// How every envelope begins. Data that looks like that for another reason is left as it is when it cannot be opened.
const BEGIN: &str = r#"{"$oxcart":1,"#;
const KEY_BYTES: usize = 32;
const LONGEST_KEY_ID: usize = 64;
/// Largest content that is unpacked.
const MOST_BYTES: usize = 512 << 20;

/// How payloads are stored and read.
#[derive(Clone, Default)]
pub struct PayloadCodec {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Payloads of so many bytes are compressed.
    threshold: Option<usize>,
    keys: BTreeMap<String, LessSafeKey>,
    /// Key of new envelopes.
    current: Option<String>,
}

impl fmt::Debug for PayloadCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadCodec").field("threshold", &self.inner.threshold).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserPayload {
    compression: Option<UserCompression>,
    encryption: Option<UserEncryption>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserCompression {
    threshold: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEncryption {
    key: String,
    /// Anything: a complaint must not repeat what stands there.
    keys: BTreeMap<String, serde_json::Value>,
}

impl UserPayload {
    pub(super) fn into_codec(self) -> Result<PayloadCodec> {
        let mut inner = Inner::default();
        if let Some(compression) = self.compression {
            let threshold = whole("payload.compression.threshold", compression.threshold, 0, i64::from(i32::MAX))?;
            inner.threshold = Some(threshold.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(1024));
        }
        if let Some(encryption) = self.encryption {
            for (id, key) in encryption.keys {
                let bytes = key.as_str().and_then(|text| BASE64.decode(text).ok());
                let key = bytes
                    .filter(|bytes| bytes.len() == KEY_BYTES)
                    .and_then(|bytes| UnboundKey::new(&AES_256_GCM, &bytes).ok().map(LessSafeKey::new));
                let path = format!("payload.encryption.keys.{id}");
                if id.is_empty()
                    || id.len() > LONGEST_KEY_ID
                    || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
                {
                    return Err(Error::invalid_option(
                        &path,
                        "an id",
                        "1 to 64 visible ASCII characters without quotes",
                    ));
                }
                let Some(key) = key else {
                    return Err(Error::invalid_option(&path, "no such key", "32 bytes, as base64"));
                };
                inner.keys.insert(id, key);
            }
            if !inner.keys.contains_key(&encryption.key) {
                let known: Vec<&str> = inner.keys.keys().map(String::as_str).collect();
                let value = format!("`{}`", encryption.key);
                return Err(Error::invalid_option(
                    "payload.encryption.key",
                    &value,
                    &format!("one of `keys`: {}", known.join(", ")),
                ));
            }
            inner.current = Some(encryption.key);
        }
        Ok(PayloadCodec { inner: Arc::new(inner) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "$oxcart")]
    version: u8,
    zip: Option<&'a str>,
    key: Option<&'a str>,
    data: &'a str,
}

/// What is authenticated beside the content: it says how to read it.
fn header(zip: Option<&str>, key: Option<&str>) -> String {
    let mut header = BEGIN.to_owned();
    for (name, value) in [("zip", zip), ("key", key)] {
        if let Some(value) = value {
            for part in ["\"", name, "\":\"", value, "\","] {
                header.push_str(part);
            }
        }
    }
    header
}

impl PayloadCodec {
    /// Whether [`seal`](Self::seal) gives this back as it is.
    fn leaves(&self, json: &str) -> bool {
        let Inner { threshold, current, .. } = &*self.inner;
        current.is_none() && threshold.is_none_or(|threshold| json.len() < threshold)
    }

    /// JSON text as it is stored. Compressed only where that makes it smaller.
    pub(crate) fn seal(&self, json: String) -> Result<String> {
        if self.leaves(&json) {
            return Ok(json);
        }
        let Inner { threshold, keys, current } = &*self.inner;
        let packed = match threshold {
            Some(threshold) if json.len() >= *threshold => {
                let packed = lz4_flex::block::compress_prepend_size(json.as_bytes());
                (current.is_some() || packed.len() / 3 * 4 < json.len()).then_some(packed)
            }
            _ => None,
        };
        let packed = packed.filter(|packed| packed.len() < json.len());
        let key = current.as_ref().and_then(|id| Some((id.as_str(), keys.get(id)?)));
        let zip = packed.is_some().then_some("lz4");
        if packed.is_none() && key.is_none() {
            return Ok(json);
        }
        let mut bytes = packed.unwrap_or_else(|| json.into_bytes());
        let header = header(zip, key.map(|(id, _)| id));
        if let Some((_, key)) = key {
            let mut nonce = [0; NONCE_LEN];
            SystemRandom::new().fill(&mut nonce).map_err(|_| no_randomness())?;
            let aad = Aad::from(header.as_bytes());
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
                .map_err(|_| Error::new(ErrorCode::JobTooLarge, "the payload is too large to be encrypted"))?;
            bytes.splice(0..0, nonce);
        }
        let mut sealed = header;
        sealed.push_str(r#""data":""#);
        BASE64.encode_string(&bytes, &mut sealed);
        sealed.push_str("\"}");
        Ok(sealed)
    }

    /// The JSON text that was sealed; other text as it is.
    ///
    /// # Errors
    /// `PayloadUnreadable`.
    pub(crate) fn open(&self, stored: String) -> Result<String> {
        if !stored.starts_with(BEGIN) {
            return Ok(stored);
        }
        let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(&stored) else { return Ok(stored) };
        let Envelope { version: 1, zip, key, data } = envelope else { return Ok(stored) };
        let mut bytes = BASE64.decode(data).map_err(|_| unreadable("its content is no base64"))?;
        if let Some(id) = key {
            let Some(key) = self.inner.keys.get(id) else {
                return Err(unreadable(&format!(
                    "it is encrypted with the key `{id}`, which `payload.encryption.keys` does not have"
                )));
            };
            let Some(nonce) = bytes.get(..NONCE_LEN).and_then(|nonce| Nonce::try_assume_unique_for_key(nonce).ok())
            else {
                return Err(unreadable("its content is cut off"));
            };
            let mut content = bytes.split_off(NONCE_LEN);
            let aad = Aad::from(header(zip, Some(id)));
            let length = key
                .open_in_place(nonce, aad, &mut content)
                .map_err(|_| unreadable(&format!("the key `{id}` does not fit, or somebody has changed it")))?
                .len();
            content.truncate(length);
            bytes = content;
        }
        match zip {
            None => {}
            Some("lz4") => {
                let size = bytes.first_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
                if usize::try_from(size).unwrap_or(usize::MAX) > MOST_BYTES {
                    return Err(unreadable("it is larger than 512 MB"));
                }
                bytes = lz4_flex::block::decompress_size_prepended(&bytes)
                    .map_err(|_| unreadable("its compressed content is broken"))?;
            }
            Some(other) => {
                return Err(unreadable(&format!("it is compressed by `{other}`, which this version does not know")));
            }
        }
        String::from_utf8(bytes).map_err(|_| unreadable("its content is no text"))
    }

    /// A job with its payloads opened; those that cannot be stay as they are stored.
    pub(crate) fn open_record(&self, record: &mut JobRecord) {
        // What cannot be opened is worth listing all the same.
        let _ = self.open_data(record);
        if let Some(value) = record.return_value.as_mut().filter(|value| value.starts_with(BEGIN))
            && let Ok(opened) = self.open(value.clone())
        {
            *value = opened;
        }
    }

    pub(super) fn open_data(&self, record: &mut JobRecord) -> Result<()> {
        if record.data.starts_with(BEGIN) {
            record.data = self.open(record.data.clone())?;
        }
        Ok(())
    }
}

/// Whether stored text looks like an envelope.
pub(super) fn is_sealed(text: &str) -> bool {
    text.starts_with(BEGIN)
}

impl Queue {
    /// An outcome as it is stored.
    pub(super) fn sealed<'a>(&self, outcome: &'a StoredOutcome) -> Result<Cow<'a, StoredOutcome>> {
        if outcome.kind != "completed" || self.payload().leaves(&outcome.text) {
            return Ok(Cow::Borrowed(outcome));
        }
        let text = self.payload().seal(outcome.text.clone())?;
        Ok(Cow::Owned(StoredOutcome { text, ..outcome.clone() }))
    }
}

fn unreadable(why: &str) -> Error {
    Error::new(ErrorCode::PayloadUnreadable, format!("the payload of the job cannot be read: {why}"))
}

fn no_randomness() -> Error {
    Error::new(ErrorCode::Internal, "the system gives no random numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const TWO: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn codec(json: &str) -> PayloadCodec {
        serde_json::from_str::<UserPayload>(json).unwrap().into_codec().unwrap()
    }

    fn encrypting(current: &str, keys: &[(&str, &str)]) -> PayloadCodec {
        let keys: BTreeMap<_, _> = keys.iter().copied().collect();
        codec(&serde_json::json!({ "encryption": { "key": current, "keys": keys } }).to_string())
    }

    fn compressible() -> String {
        serde_json::json!({ "rows": vec!["the same again"; 500] }).to_string()
    }

    #[test]
    fn without_options_payloads_stay_as_they_are() {
        assert_eq!(PayloadCodec::default().seal(compressible()).unwrap(), compressible());
    }

    #[test]
    fn large_payloads_are_compressed_where_that_helps() {
        let codec = codec(r#"{"compression":{"threshold":100}}"#);
        let sealed = codec.seal(compressible()).unwrap();
        assert!(sealed.len() < compressible().len() / 10, "{}", sealed.len());
        assert!(serde_json::from_str::<serde_json::Value>(&sealed).unwrap()["zip"] == "lz4");
        // Anybody can open it.
        assert_eq!(PayloadCodec::default().open(sealed).unwrap(), compressible());
        assert_eq!(codec.seal("[1]".into()).unwrap(), "[1]");
        let noise: String = (0..300).map(|_| fastrand::alphanumeric()).collect();
        assert_eq!(codec.seal(format!("\"{noise}\"")).unwrap(), format!("\"{noise}\""));
    }

    #[test]
    fn keys_are_rotated() {
        let old = encrypting("k1", &[("k1", ONE)]);
        let both = encrypting("k2", &[("k1", ONE), ("k2", TWO)]);
        let sealed = old.seal(r#"{"card":"4111"}"#.into()).unwrap();
        assert!(!sealed.contains("4111") && serde_json::from_str::<serde_json::Value>(&sealed).unwrap()["key"] == "k1");
        assert_eq!(both.open(sealed.clone()).unwrap(), r#"{"card":"4111"}"#);
        assert_ne!(old.seal("1".into()).unwrap(), old.seal("1".into()).unwrap());
        let newer = both.seal("1".into()).unwrap();
        let error = old.open(newer).unwrap_err();
        assert_eq!(error.code(), ErrorCode::PayloadUnreadable);
        assert!(error.message().contains("`k2`"));
        // A key of the same name that is another one.
        let other = encrypting("k1", &[("k1", TWO)]);
        assert_eq!(other.open(sealed).unwrap_err().code(), ErrorCode::PayloadUnreadable);
    }

    #[test]
    fn what_was_changed_is_noticed() {
        let codec =
            codec(&format!(r#"{{"compression":{{"threshold":0}},"encryption":{{"key":"k","keys":{{"k":"{ONE}"}}}}}}"#));
        let sealed = codec.seal(compressible()).unwrap();
        assert_eq!(codec.open(sealed.clone()).unwrap(), compressible());
        for changed in [
            sealed.replacen(r#""zip":"lz4","#, "", 1),
            sealed.replacen(r#""data":"A"#, r#""data":"B"#, 1).replacen(r#""data":"C"#, r#""data":"D"#, 1),
            sealed.replacen("\"data\":\"", "\"data\":\"AAAA", 1),
            format!("{}\"data\":\"AAAA\"}}", header(Some("lz4"), Some("k"))),
        ] {
            if changed != sealed {
                assert_eq!(codec.open(changed).unwrap_err().code(), ErrorCode::PayloadUnreadable);
            }
        }
    }

    #[test]
    fn what_only_looks_like_an_envelope_is_left_alone() {
        for text in [r#"{"$oxcart":1,"mine":true}"#, r#"{"$oxcart":2,"data":"x"}"#, "null", ""] {
            assert_eq!(PayloadCodec::default().open(text.into()).unwrap(), text);
        }
    }

    #[test]
    fn keys_that_are_none_are_refused_without_telling_them() {
        for (json, path) in [
            (r#"{"encryption":{"key":"k","keys":{"k":"c2VjcmV0"}}}"#, "payload.encryption.keys.k"),
            (r#"{"encryption":{"key":"k","keys":{"k":7}}}"#, "payload.encryption.keys.k"),
            (r#"{"encryption":{"key":"k","keys":{}}}"#, "payload.encryption.key"),
            (r#"{"compression":{"threshold":-1}}"#, "payload.compression.threshold"),
        ] {
            let error = serde_json::from_str::<UserPayload>(json).unwrap().into_codec().unwrap_err();
            assert!(error.details().contains(&("option", path.into())), "{error:?}");
            assert!(!error.message().contains("c2VjcmV0"));
        }
    }
}
