use super::*;
use crate::error::{Detail, ErrorCode};

fn options(json: &str) -> ConnectionOptions {
    ConnectionOptions::from_json_and_environment(json, None).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// The path in the error that `json` causes.
fn refused(json: &str) -> (String, Error) {
    let error = ConnectionOptions::from_json_and_environment(json, None).expect_err(json);
    assert_eq!(error.code(), ErrorCode::InvalidOption, "{json}");
    let path = error.details().iter().find(|(name, _)| *name == "option").map(|(_, value)| value.clone());
    let Some(Detail::Text(path)) = path else { panic!("{json}: no path") };
    (path, error)
}

fn password(options: &ConnectionOptions) -> Option<&str> {
    options.password.as_ref().map(|secret| secret.0.as_str())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let options = options(r#"{"host":"h"}"#);
    assert_eq!(options.address, Address::Tcp { host: "h".into(), port: 6379 });
    assert_eq!(options.connect_timeout, Duration::from_secs(10));
    assert_eq!(options.command_timeout, Duration::from_secs(5));
    assert_eq!(options.keep_alive, Some(Duration::from_secs(30)));
    assert_eq!(options.max_retries_per_request, Some(20));
    assert_eq!(options.max_offline_queue_bytes, 64 << 20);
    assert!(options.ready_check && options.offline_queue && options.tls.is_none());
    assert_eq!(options.describe(), "h:6379/0");
}

#[test]
fn urls_are_understood() {
    let plain = options(r#"{"url":"redis://h"}"#);
    assert_eq!((plain.address, plain.db), (Address::Tcp { host: "h".into(), port: 6379 }, None));
    let full = options(r#"{"url":"rediss://us%40er:p%3Aw%2F@h:7000/3"}"#);
    assert_eq!(full.describe(), "h:7000/3");
    assert_eq!((full.username.as_deref(), password(&full)), (Some("us@er"), Some("p:w/")));
    assert_eq!(full.tls, Some(TlsOptions::default()));
    assert_eq!(password(&options(r#"{"url":"redis://:pw@h"}"#)), Some("pw"));
    assert_eq!(options(r#"{"url":"redis://[::1]:7000"}"#).describe(), "[::1]:7000/0");
    assert_eq!(options(r#"{"url":"redis://h/0"}"#).db, Some(0));
    let unix = options(r#"{"url":"unix:///tmp/r.sock?db=4"}"#);
    assert_eq!((unix.describe(), unix.db), ("/tmp/r.sock/4".to_owned(), Some(4)));
    let unix = options(r#"{"url":"unix://u:p%20w@/tmp/r.sock"}"#);
    assert_eq!((unix.username.as_deref(), password(&unix), unix.db), (Some("u"), Some("p w"), None));
}

#[test]
fn options_beside_the_url_override_it() {
    let options =
        options(r#"{"url":"redis://u:p@h:1/2","host":"other","port":9,"username":"v","password":"q","db":5,"tls":{}}"#);
    assert_eq!(options.describe(), "other:9/5");
    assert_eq!((options.username.as_deref(), password(&options)), (Some("v"), Some("q")));
    assert!(options.tls.is_some());
}

#[test]
fn the_environment_names_the_server_when_the_options_do_not() {
    let from = |json, url: &str| ConnectionOptions::from_json_and_environment(json, Some(url.to_owned()));
    assert_eq!(from(r#"{"db":2}"#, "redis://e:1/0").unwrap().describe(), "e:1/2");
    assert_eq!(from(r#"{"host":"h"}"#, "redis://e:1").unwrap().describe(), "h:6379/0");
    assert!(from("{}", "http://e").unwrap_err().message().contains("REDIS_URL"));
    assert_eq!(options("{}").address, Address::Memory { name: String::new() });
    for json in [r#"{"port":6380}"#, r#"{"password":"p"}"#, r#"{"tls":{}}"#] {
        let (path, error) = refused(json);
        assert_eq!(path, "url");
        assert!(error.message().contains("REDIS_URL"));
    }
}

#[test]
fn every_option_is_taken_over() {
    let options = options(
        r#"{"host":"h","maxRetriesPerRequest":null,"enableReadyCheck":false,"enableOfflineQueue":false,
        "maxOfflineQueueBytes":7,"connectTimeout":1,"commandTimeout":2,"keepAlive":0,"connectionName":"api",
        "keyPrefix":"app:","databases":{"cache":9,"test":1},
        "tls":{"rejectUnauthorized":false,"ca":"A","cert":"C","key":"K","servername":"n"}}"#,
    );
    assert_eq!(options.max_retries_per_request, None);
    assert!(!options.ready_check && !options.offline_queue);
    assert_eq!(options.max_offline_queue_bytes, 7);
    assert_eq!((options.connect_timeout.as_millis(), options.command_timeout.as_millis()), (1, 2));
    assert_eq!(options.keep_alive, None);
    assert_eq!((options.connection_name.as_deref(), options.key_prefix.as_str()), (Some("api"), "app:"));
    let tls = options.tls.clone().unwrap();
    assert_eq!((tls.reject_unauthorized, tls.server_name.as_deref()), (false, Some("n")));
    assert_eq!((tls.ca.as_deref(), tls.cert.as_deref(), tls.key), (Some("A"), Some("C"), Some(Secret("K".into()))));
    assert_eq!(options.clone().with_role(DatabaseRole::Cache).db, Some(9));
    assert_eq!(options.clone().with_role(DatabaseRole::Test).db, Some(1));
    assert_eq!(options.with_role(DatabaseRole::Queue).db, Some(4));
}

#[test]
fn a_role_takes_the_database_that_was_chosen_for_all() {
    assert_eq!(options(r#"{"url":"redis://h/3"}"#).with_role(DatabaseRole::Queue).db, Some(3));
    assert_eq!(options(r#"{"host":"h","db":0}"#).with_role(DatabaseRole::Queue).db, Some(0));
}

#[test]
fn a_wrong_option_is_named_by_its_path() {
    for (json, path) in [
        (r#"{"host":1}"#, "host"),
        (r#"{"host":""}"#, "host"),
        (r#"{"host":"h","hots":"x"}"#, "hots"),
        (r#"{"host":"h","port":0}"#, "port"),
        (r#"{"host":"h","port":65536}"#, "port"),
        (r#"{"host":"h","db":16}"#, "db"),
        (r#"{"host":"h","db":-1}"#, "db"),
        (r#"{"host":"h","commandTimeout":0}"#, "commandTimeout"),
        (r#"{"host":"h","connectTimeout":1.5}"#, "connectTimeout"),
        (r#"{"host":"h","keepAlive":3000000000}"#, "keepAlive"),
        (r#"{"host":"h","maxRetriesPerRequest":-1}"#, "maxRetriesPerRequest"),
        (r#"{"host":"h","enableReadyCheck":"yes"}"#, "enableReadyCheck"),
        (r#"{"host":"h","connectionName":"my app"}"#, "connectionName"),
        (r#"{"host":"h","username":"u"}"#, "password"),
        (r#"{"host":"h","tls":{"ca":3}}"#, "tls.ca"),
        (r#"{"host":"h","tls":{"caa":"x"}}"#, "tls.caa"),
        (r#"{"host":"h","tls":{"cert":"x"}}"#, "tls.key"),
        (r#"{"host":"h","databases":{"cache":99}}"#, "databases.cache"),
        (r#"{"host":"h","databases":{"kache":1}}"#, "databases.kache"),
        (r#"{"sentinels":[]}"#, "sentinels"),
        (r#"{"cluster":{"nodes":[]}}"#, "cluster"),
        (r#"{"url":"memory:"}"#, "url"),
        (r#"{"url":"memory://a/16"}"#, "url"),
        (r#"{"url":"memory://a/b/c"}"#, "url"),
        (r#"{"url":"memory://a?b"}"#, "url"),
        (r#"{"url":"memory://a","host":"h"}"#, "host"),
        (r#"{"url":"memory://a","password":"p"}"#, "password"),
        (r#"{"url":"memory://a","tls":{}}"#, "tls"),
        (r#"{"url":"http://h"}"#, "url"),
        (r#"{"url":"localhost"}"#, "url"),
        (r#"{"url":"redis://"}"#, "url"),
        (r#"{"url":"redis://h/x"}"#, "url"),
        (r#"{"url":"redis://h/16"}"#, "url"),
        (r#"{"url":"redis://h/-1"}"#, "url"),
        (r#"{"url":"redis://h?db=1"}"#, "url"),
        (r#"{"url":"unix:///s?bd=1"}"#, "url"),
        (r#"{"url":"unix:///s","host":"h"}"#, "host"),
        (r#"{"url":"unix:///s","tls":{}}"#, "tls"),
        ("[]", "options"),
        ("", "options"),
    ] {
        assert_eq!(refused(json).0, path, "{json}");
    }
    assert!(refused(r#"{"sentinels":[]}"#).1.message().contains("not supported yet"));
    assert!(refused(r#"{"host":"h","hots":"x"}"#).1.message().contains("`host`"));
}

#[test]
fn a_memory_url_names_an_engine_and_a_database() {
    for (url, name, db) in [
        ("memory://", "", None),
        ("memory://jobs", "jobs", None),
        ("memory://jobs/", "jobs", None),
        ("memory:///2", "", Some(2)),
        ("MEMORY://a.b-c_1/15", "a.b-c_1", Some(15)),
    ] {
        let options = options(&format!(r#"{{"url":"{url}"}}"#));
        assert_eq!((options.address, options.db), (Address::Memory { name: name.into() }, db), "{url}");
    }
}

#[test]
fn no_credential_is_shown() {
    let options = options(r#"{"url":"redis://user:hunter2@h","tls":{"cert":"c","key":"hunter2"}}"#);
    assert!(!format!("{options:?} {}", options.describe()).contains("hunter2"));
    for json in [
        r#"{"url":"redis://u:1337@h/x"}"#,
        r#"{"url":"http://u:1337@h"}"#,
        r#"{"url":"unix://u:1337@h/s"}"#,
        r#"{"host":"h","password":1337}"#,
        r#"{"url":1337}"#,
    ] {
        assert!(!refused(json).1.message().contains("1337"), "{json}");
    }
}
