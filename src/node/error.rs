//! Errors on their way to JavaScript: as text, which `ts/native.ts` makes into an instance of the class of its code.

use std::error::Error as StdError;

use serde_json::{Map, Value as Json, json};

use crate::error::{Detail, Error, ErrorCode};

/// How many causes are told; a chain longer than this says nothing more.
const DEEPEST_CAUSE: usize = 8;

/// The error as JSON text: `{ code, message, retryable, details, cause? }`.
pub(crate) fn error_json(error: &Error) -> String {
    own(error, 0).to_string()
}

fn own(error: &Error, depth: usize) -> Json {
    let details: Map<String, Json> = error
        .details()
        .iter()
        .map(|(name, detail)| {
            let value = match detail {
                Detail::Text(text) => json!(text),
                Detail::Number(number) => json!(number),
                Detail::Bool(flag) => json!(flag),
            };
            ((*name).to_owned(), value)
        })
        .collect();
    let mut fields = json!({
        "code": error.code().as_str(),
        "message": error.message(),
        "retryable": error.is_retryable(),
        "details": details,
    });
    if let Some(cause) = cause(error.source(), depth) {
        fields["cause"] = cause;
    }
    fields
}

fn cause(source: Option<&(dyn StdError + 'static)>, depth: usize) -> Option<Json> {
    let source = source.filter(|_| depth < DEEPEST_CAUSE)?;
    if let Some(error) = source.downcast_ref::<Error>() {
        return Some(own(error, depth + 1));
    }
    let mut fields = json!({ "message": source.to_string() });
    if let Some(cause) = cause(source.source(), depth + 1) {
        fields["cause"] = cause;
    }
    Some(fields)
}

/// Every code, for the test that holds the table of classes complete.
#[napi_derive::napi]
pub fn error_codes() -> Vec<&'static str> {
    ErrorCode::ALL.iter().map(|code| code.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_details_and_causes() {
        let io = std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the pipe broke");
        let inner = Error::new(ErrorCode::ConnectionLost, "lost").with("maybeExecuted", true).caused_by(io);
        let outer = Error::new(ErrorCode::Reply, "no \"luck\"").with("attempt", 2.0).with("key", "k").caused_by(inner);
        let told: Json = serde_json::from_str(&error_json(&outer)).unwrap();
        assert_eq!(
            told,
            json!({
                "code": "ERR_REPLY", "message": "no \"luck\"", "retryable": false,
                "details": { "attempt": 2.0, "key": "k" },
                "cause": {
                    "code": "ERR_CONNECTION_LOST", "message": "lost", "retryable": true,
                    "details": { "maybeExecuted": true },
                    "cause": { "message": "the pipe broke" },
                },
            })
        );
    }

    #[test]
    fn a_long_chain_of_causes_ends() {
        let mut error = Error::new(ErrorCode::Internal, "root");
        for _ in 0..100 {
            error = Error::new(ErrorCode::Internal, "link").caused_by(error);
        }
        assert_eq!(error_json(&error).matches("\"cause\"").count(), DEEPEST_CAUSE);
    }
}
