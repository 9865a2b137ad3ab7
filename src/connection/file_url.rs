//! `file:` URLs, and the `file` options beside them.

use std::path::PathBuf;

use serde::Deserialize;

use super::{
    options::{Address, FileOptions},
    options_json::{database, number},
    server_url::{ALLOWED, ServerUrl, malformed},
};
use crate::{
    embedded::Fsync,
    error::{Error, Result},
};

/// Largest file whose size a number of JavaScript tells exactly.
const MAX_SIZE: u64 = (1 << 53) - 1;
const MAX_PERCENTAGE: u64 = 1_000_000;

/// `file` in a user's `RedisConfig`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FileConfig {
    fsync: Option<String>,
    rewrite_min_size: Option<u64>,
    rewrite_percentage: Option<u64>,
}

/// Puts what `config` says over what the URL says.
pub(super) fn merge(options: &mut FileOptions, config: &FileConfig) -> Result<()> {
    if let Some(word) = &config.fsync {
        options.fsync = Some(fsync("file.fsync", word)?);
    }
    if let Some(size) = config.rewrite_min_size {
        options.rewrite_min_size = number("file.rewriteMinSize", Some(size), 1, MAX_SIZE)?;
    }
    if let Some(value) = config.rewrite_percentage {
        options.rewrite_percentage = Some(percentage("file.rewritePercentage", value)?);
    }
    Ok(())
}

/// What follows `file:`: a path, relative to the working directory or absolute, or `//` and an absolute path; then
/// `?db=n&fsync=word&rewriteMinSize=bytes&rewritePercentage=percent`, each at most once.
pub(super) fn parse(option: &str, rest: &str) -> Result<ServerUrl> {
    if rest.contains('#') {
        return Err(Error::invalid_option(option, "a URL with a fragment", ALLOWED));
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix("//") {
        // Between the slashes stands a host; a path without a third one would be taken for its name.
        Some(absolute) => match absolute.strip_prefix("localhost").unwrap_or(absolute) {
            path if path.starts_with('/') => path,
            _ => {
                let value = "a file: URL with a host";
                return Err(Error::invalid_option(option, value, "file:relative/path, or file:///absolute/path"));
            }
        },
        None => path,
    };
    // file:///C:/data
    let path = match path.as_bytes() {
        [b'/', drive, b':', ..] if cfg!(windows) && drive.is_ascii_alphabetic() => &path[1..],
        _ => path,
    };
    let directory = decode(path).filter(|path| !path.is_empty() && !path.contains('\0'));
    let directory = directory.ok_or_else(|| malformed(option))?;
    let (mut db, mut journal) = (None, FileOptions::default());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| malformed(option))?;
        let at = format!("{option}?{name}");
        let count = || value.parse::<u64>().map_err(|_| Error::invalid_option(&at, value, "a whole number"));
        let twice = match name {
            "db" => db.replace(database(&at, Some(count()?))?).is_some(),
            "fsync" => journal.fsync.replace(fsync(&at, value)?).is_some(),
            "rewriteMinSize" => {
                let size = number(&at, Some(count()?), 1, MAX_SIZE)?;
                std::mem::replace(&mut journal.rewrite_min_size, size).is_some()
            }
            "rewritePercentage" => journal.rewrite_percentage.replace(percentage(&at, count()?)?).is_some(),
            _ => {
                let allowed = "db, fsync, rewriteMinSize, rewritePercentage";
                return Err(Error::invalid_option(&at, "unknown", allowed));
            }
        };
        if twice {
            return Err(Error::invalid_option(&at, "set twice", "once"));
        }
    }
    Ok(ServerUrl {
        address: Address::File { directory: PathBuf::from(directory), journal },
        tls: false,
        username: None,
        password: None,
        db: db.flatten(),
    })
}

fn fsync(option: &str, word: &str) -> Result<Fsync> {
    match word {
        "always" => Ok(Fsync::Always),
        "everysec" => Ok(Fsync::EverySecond),
        "no" => Ok(Fsync::No),
        _ => Err(Error::invalid_option(option, word, "always, everysec, no")),
    }
}

fn percentage(option: &str, value: u64) -> Result<u32> {
    let value = number(option, Some(value), 0, MAX_PERCENTAGE)?;
    Ok(value.and_then(|value| u32::try_from(value).ok()).unwrap_or_default())
}

/// Resolves `%20` and the like; `None` for what is no escape, or no UTF-8 in the end.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return String::from_utf8(bytes).ok(),
            [b'%', high, low, rest @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? * 16 + digit(*low)?);
                rest
            }
            [b'%', ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionOptions;

    fn read(json: &str) -> Result<ConnectionOptions> {
        ConnectionOptions::from_json(json)
    }

    fn of_url(url: &str) -> (String, FileOptions, Option<u8>) {
        let options = read(&format!(r#"{{"url":"{url}"}}"#)).unwrap_or_else(|error| panic!("{url}: {error}"));
        let Address::File { directory, journal } = options.address else { panic!("{url}") };
        (directory.to_str().unwrap().to_owned(), journal, options.db)
    }

    #[test]
    fn paths_are_understood() {
        for (url, path) in [
            ("file:data", "data"),
            ("file:./data/app", "./data/app"),
            ("FILE:../data", "../data"),
            ("file:/var/lib/app", "/var/lib/app"),
            ("file:///var/lib/app", "/var/lib/app"),
            ("file://localhost/var/lib/app", "/var/lib/app"),
            ("file:with%20space%3F%23%25", "with space?#%"),
            ("file:ümlaut", "ümlaut"),
        ] {
            assert_eq!(of_url(url), (path.to_owned(), FileOptions::default(), None), "{url}");
        }
    }

    #[test]
    fn options_stand_in_the_url_and_beside_it() {
        let url = "file:data?db=3&fsync=always&rewriteMinSize=1000&rewritePercentage=50";
        let (_, options, db) = of_url(url);
        let wanted =
            FileOptions { fsync: Some(Fsync::Always), rewrite_min_size: Some(1000), rewrite_percentage: Some(50) };
        assert_eq!((options, db), (wanted, Some(3)));
        let json = format!(r#"{{"url":"{url}","db":4,"file":{{"fsync":"no","rewritePercentage":0}}}}"#);
        let options = read(&json).unwrap();
        let Address::File { journal, .. } = options.address else { panic!() };
        let wanted = FileOptions { fsync: Some(Fsync::No), rewrite_percentage: Some(0), ..wanted };
        assert_eq!((journal, options.db), (wanted, Some(4)));
        assert_eq!(journal.journal().fsync, Fsync::No);
        assert_eq!(FileOptions::default().journal().fsync, Fsync::EverySecond);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, path) in [
            (r#"{"url":"file:"}"#, "url"),
            (r#"{"url":"file:a%2"}"#, "url"),
            (r#"{"url":"file:a%ff"}"#, "url"),
            (r#"{"url":"file:a%00"}"#, "url"),
            (r#"{"url":"file://data/app"}"#, "url"),
            (r#"{"url":"file:a#b"}"#, "url"),
            (r#"{"url":"file:a?db"}"#, "url"),
            (r#"{"url":"file:a?db=16"}"#, "url?db"),
            (r#"{"url":"file:a?db=x"}"#, "url?db"),
            (r#"{"url":"file:a?db=1&db=2"}"#, "url?db"),
            (r#"{"url":"file:a?fsync=often"}"#, "url?fsync"),
            (r#"{"url":"file:a?rewriteMinSize=0"}"#, "url?rewriteMinSize"),
            (r#"{"url":"file:a?rewriteMinSize=64mb"}"#, "url?rewriteMinSize"),
            (r#"{"url":"file:a?rewritePercentage=-1"}"#, "url?rewritePercentage"),
            (r#"{"url":"file:a?sync=no"}"#, "url?sync"),
            (r#"{"url":"file:a","file":{"fsync":"often"}}"#, "file.fsync"),
            (r#"{"url":"file:a","file":{"rewriteMinSize":0}}"#, "file.rewriteMinSize"),
            (r#"{"url":"file:a","file":{"rewritePercentage":2000000}}"#, "file.rewritePercentage"),
            (r#"{"url":"file:a","file":{"sync":"no"}}"#, "file.sync"),
            (r#"{"url":"file:a","host":"h"}"#, "host"),
            (r#"{"url":"file:a","password":"p"}"#, "password"),
            (r#"{"url":"memory://","file":{"fsync":"no"}}"#, "file"),
            (r#"{"host":"h","file":{"fsync":"no"}}"#, "file"),
        ] {
            let error = read(json).expect_err(json);
            let option = error.details().iter().find(|(name, _)| *name == "option").map(|(_, value)| value.clone());
            assert_eq!(option, Some(path.into()), "{json}: {error}");
        }
    }
}
