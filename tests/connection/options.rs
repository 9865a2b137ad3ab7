//! Every option of a connection, seen by its effect on a server.

use std::time::{Duration, Instant};

use oxcart::{
    ErrorCode,
    codec::resp::Value,
    connection::{self, Command, ConnectionOptions, DatabaseRole, Link, Secret, TlsOptions},
    testing::{Proxy, RedisServer, eventually},
};

use crate::support::command;

async fn ping(options: ConnectionOptions) -> Result<Value, oxcart::Error> {
    connection::open(options)?.call(command("PING")).await
}

fn pong() -> Value {
    Value::Simple("PONG".into())
}

/// What the server says of the link's connection.
async fn client_info(link: &dyn Link) -> String {
    link.call(command("CLIENT INFO")).await.unwrap().into_text().unwrap()
}

fn json(text: &str) -> ConnectionOptions {
    ConnectionOptions::from_json(text).unwrap()
}

#[tokio::test]
async fn url_and_host_lead_to_the_same_server() {
    let server = RedisServer::start();
    let port = server.port();
    assert_eq!(ping(json(&format!(r#"{{"url":"{}"}}"#, server.url()))).await, Ok(pong()));
    assert_eq!(ping(json(&format!(r#"{{"host":"127.0.0.1","port":{port}}}"#))).await, Ok(pong()));
    // A name with several addresses, of which one answers.
    assert_eq!(ping(json(&format!(r#"{{"host":"localhost","port":{port}}}"#))).await, Ok(pong()));
}

#[tokio::test]
async fn a_unix_socket_is_spoken_to() {
    let server = RedisServer::start();
    let link =
        connection::open(json(&format!(r#"{{"url":"unix://{}?db=2"}}"#, server.socket_path().display()))).unwrap();
    let info = client_info(&*link).await;
    assert!(info.contains("db=2") && info.contains("addr=/"), "{info}");
    let big = vec![b'x'; 5_000_000];
    link.call(Command::new("SET").key("k").arg(&big)).await.unwrap();
    assert!(link.call(command("GET k")).await == Ok(Value::Bulk(big)));
}

#[tokio::test]
async fn the_handshake_is_done_again_on_every_connection() {
    let server = RedisServer::start();
    let mut options = server.options();
    (options.db, options.connection_name) = (Some(3), Some("api".into()));
    let link = connection::open(options).unwrap();
    for _ in 0..2 {
        let info = client_info(&*link).await;
        assert!(info.contains(" db=3 ") && info.contains(" name=api ") && info.contains(" resp=3"), "{info}");
        server.ask("CLIENT KILL TYPE normal");
        eventually("a new connection", || server.ask("CLIENT LIST").contains("name=api ")).await;
    }
    let blocking = link.open_blocking();
    blocking.block(command("BLPOP q 0.01"), Duration::from_millis(10)).await.unwrap();
    assert_eq!(server.ask("CLIENT LIST").matches("name=api ").count(), 2);
}

#[tokio::test]
async fn a_role_has_its_database() {
    let server = RedisServer::start();
    let options = json(&format!(r#"{{"host":"127.0.0.1","port":{},"databases":{{"cache":7}}}}"#, server.port()));
    let cache = connection::open(options.clone().with_role(DatabaseRole::Cache)).unwrap();
    let queue = connection::open(options.with_role(DatabaseRole::Queue)).unwrap();
    assert!(client_info(&*cache).await.contains(" db=7 "));
    assert!(client_info(&*queue).await.contains(" db=4 "));
}

#[tokio::test]
async fn a_database_that_the_server_does_not_have_is_an_invalid_option() {
    let server = RedisServer::builder().args(["--databases", "2"]).start();
    let mut options = server.options();
    options.db = Some(2);
    let error = ping(options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidOption);
    assert!(error.details().contains(&("option", "db".into())));
}

#[tokio::test]
async fn a_user_logs_in_over_both_protocols() {
    for rename in [&[][..], &["--rename-command", "HELLO", ""]] {
        let server = RedisServer::builder().args(rename.to_vec()).start();
        server.ask("ACL SETUSER worker on >secret ~* +@all -info -select");
        let mut options = server.options();
        (options.username, options.password) = (Some("worker".into()), Some(Secret("secret".into())));
        let link = connection::open(options.clone()).unwrap();
        assert!(client_info(&*link).await.contains("user=worker"));
        options.password = Some(Secret("other".into()));
        assert_eq!(ping(options).await.unwrap_err().code(), ErrorCode::AuthenticationFailed);
    }
}

#[tokio::test]
async fn a_server_without_resp3_is_spoken_to_in_resp2() {
    let server = RedisServer::builder().args(["--rename-command", "HELLO", ""]).password("p").start();
    let link = connection::open(server.options()).unwrap();
    assert!(client_info(&*link).await.contains("resp=2"));
    link.call(command("HSET h f v")).await.unwrap();
    let pair = vec![Value::Bulk(b"f".to_vec()), Value::Bulk(b"v".to_vec())];
    assert_eq!(link.call(command("HGETALL h")).await, Ok(Value::Array(pair)));
    assert_eq!(link.call(command("GET missing")).await, Ok(Value::Nil));
    let blocking = link.open_blocking();
    assert_eq!(blocking.block(command("BLPOP q 0.01"), Duration::from_millis(10)).await, Ok(Value::Nil));
}

#[tokio::test]
async fn a_password_that_nobody_asks_for_is_no_error() {
    for rename in [&[][..], &["--rename-command", "HELLO", ""]] {
        let server = RedisServer::builder().args(rename.to_vec()).start();
        let mut options = server.options();
        options.password = Some(Secret("leftover".into()));
        assert_eq!(ping(options).await, Ok(pong()));
    }
}

#[tokio::test]
async fn tls_is_spoken() {
    let server = RedisServer::builder().tls().start();
    let link = connection::open(server.options()).unwrap();
    let big = vec![b'x'; 5_000_000];
    let commands = [Command::new("SET").key("k").arg(&big), command("GET k"), command("DEL k")];
    let replies = link.call_many(&commands).await;
    assert!(replies[1] == Ok(Value::Bulk(big)));
    assert_eq!(replies[2], Ok(Value::Int(1)));
    let many: Vec<_> = (0..20_000).map(|number| Command::new("ECHO").int(number)).collect();
    let replies = link.call_many(&many).await;
    assert_eq!(replies[19_999], Ok(Value::Bulk(b"19999".to_vec())));
    // By URL, and by name.
    let ca = server.ca_pem().replace('\n', "\\n");
    let mut options = json(&format!(r#"{{"url":"{}","tls":{{"ca":"{ca}"}}}}"#, server.url()));
    assert_eq!(ping(options.clone()).await, Ok(pong()));
    // TLS by the scheme alone trusts the system's authorities, which did not sign this server.
    options.tls = json(&format!(r#"{{"url":"{}"}}"#, server.url())).tls;
    assert_eq!(ping(options).await.unwrap_err().code(), ErrorCode::TlsFailed);
}

#[tokio::test]
async fn a_certificate_is_checked_unless_told_otherwise() {
    let server = RedisServer::builder().tls().start();
    let other = RedisServer::builder().tls().start();
    let with = |tls: TlsOptions| ConnectionOptions { tls: Some(tls), ..server.options() };
    let wrong_ca = TlsOptions { ca: Some(other.ca_pem()), ..TlsOptions::default() };
    let error = ping(with(wrong_ca.clone())).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::TlsFailed);
    assert_eq!(ping(with(TlsOptions { reject_unauthorized: false, ..wrong_ca })).await, Ok(pong()));
    let right_ca = TlsOptions { ca: Some(server.ca_pem()), ..TlsOptions::default() };
    let elsewhere = TlsOptions { server_name: Some("elsewhere.example".into()), ..right_ca.clone() };
    assert_eq!(ping(with(elsewhere)).await.unwrap_err().code(), ErrorCode::TlsFailed);
    let by_name = TlsOptions { server_name: Some("localhost".into()), ..right_ca };
    assert_eq!(ping(with(by_name)).await, Ok(pong()));
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let server = RedisServer::builder().tls().args(["--tls-auth-clients", "yes"]).start();
    let mut options = server.options();
    options.command_timeout = Duration::from_millis(500);
    let error = ping(options.clone()).await.unwrap_err();
    assert!(matches!(error.code(), ErrorCode::TlsFailed | ErrorCode::CommandTimedOut), "{error:?}");
    let (cert, key) = server.client_pem();
    options.tls = Some(TlsOptions { cert: Some(cert), key: Some(Secret(key)), ..options.tls.unwrap() });
    assert_eq!(ping(options).await, Ok(pong()));
}

#[tokio::test]
async fn tls_options_that_are_no_pem_are_refused_when_the_link_is_opened() {
    let with =
        |tls| connection::open(ConnectionOptions { tls: Some(tls), ..ConnectionOptions::tcp("h", 1) }).err().unwrap();
    let nonsense = || Some("nonsense".to_owned());
    let error = with(TlsOptions { ca: nonsense(), ..TlsOptions::default() });
    assert!(error.details().contains(&("option", "tls.ca".into())), "{error}");
    let key = Some(Secret("nonsense".into()));
    let error = with(TlsOptions { cert: nonsense(), key, reject_unauthorized: false, ..TlsOptions::default() });
    assert!(error.details().contains(&("option", "tls.cert".into())), "{error}");
}

#[tokio::test]
async fn plain_text_to_a_tls_server_does_not_hang() {
    let server = RedisServer::builder().tls().start();
    let options = ConnectionOptions {
        command_timeout: Duration::from_secs(1),
        ..ConnectionOptions::tcp("127.0.0.1", server.port())
    };
    let error = ping(options).await.unwrap_err();
    // The server sends an alert, which is no RESP, and closes; on a slow machine only the close is seen.
    let codes = [ErrorCode::ProtocolViolation, ErrorCode::MaxRetriesReached, ErrorCode::CommandTimedOut];
    assert!(codes.contains(&error.code()), "{error:?}");
}

#[tokio::test]
async fn tls_to_a_plain_server_is_a_failed_handshake() {
    let server = RedisServer::start();
    let options = ConnectionOptions {
        tls: Some(TlsOptions { reject_unauthorized: false, ..TlsOptions::default() }),
        command_timeout: Duration::from_secs(1),
        ..server.options()
    };
    let error = ping(options).await.unwrap_err();
    assert!(matches!(error.code(), ErrorCode::TlsFailed | ErrorCode::CommandTimedOut), "{error:?}");
}

#[tokio::test]
async fn connect_timeout_ends_a_handshake_that_is_not_answered() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    proxy.go_silent();
    let options = ConnectionOptions {
        connect_timeout: Duration::from_millis(100),
        max_retries_per_request: Some(1),
        ..ConnectionOptions::tcp("127.0.0.1", proxy.port())
    };
    let started = Instant::now();
    let error = ping(options).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::MaxRetriesReached);
    assert!(error.message().contains("within 100 ms"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn command_timeout_is_the_deadline_of_commands_without_one() {
    let server = RedisServer::builder().args(["--enable-debug-command", "yes"]).start();
    let mut options = server.options();
    options.command_timeout = Duration::from_millis(100);
    let link = connection::open(options).unwrap();
    let sleep = command("DEBUG SLEEP 0.3");
    assert_eq!(link.call(sleep.clone()).await.unwrap_err().code(), ErrorCode::CommandTimedOut);
    assert_eq!(link.call(sleep.deadline(Duration::from_secs(3))).await, Ok(Value::Simple("OK".into())));
}

#[tokio::test]
async fn keep_alive_asks_an_idle_server_for_a_sign_of_life() {
    let pings = |server: &RedisServer| server.ask("INFO commandstats").contains("cmdstat_ping:calls");
    let server = RedisServer::start();
    // What the test support asked while the server started.
    server.ask("CONFIG RESETSTAT");
    let never = ConnectionOptions { keep_alive: None, ..server.options() };
    let link = connection::open(never).unwrap();
    link.call(command("ECHO x")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!pings(&server));
    let often = ConnectionOptions { keep_alive: Some(Duration::from_millis(50)), ..server.options() };
    let _link = connection::open(often).unwrap();
    eventually("the server is pinged", || pings(&server)).await;
}

#[tokio::test]
async fn ready_check_asks_the_server_only_where_wanted() {
    for wanted in [true, false] {
        let server = RedisServer::start();
        server.ask("CONFIG RESETSTAT");
        let options = ConnectionOptions { ready_check: wanted, ..server.options() };
        ping(options).await.unwrap();
        assert_eq!(server.ask("INFO commandstats").contains("cmdstat_info:calls"), wanted);
    }
}
