//! The stock packages of the registry, connected to the engine in this process, beside a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use oxcart::{
    clock::Clock,
    embedded::{Embedded, Listener},
    testing::RedisServer,
};

/// Runs the scenario against a port and gives what it printed.
fn outcome(port: u16) -> String {
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/embedded_clients/scenario.mjs"))
        .arg(port.to_string())
        .output()
        .expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`npm ci` installs what this needs; the scenario said: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bullmq_and_ioredis_find_no_difference() {
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let here = outcome(listener.port().unwrap());
    let server = RedisServer::start();
    let there = outcome(server.port());
    for (mine, theirs) in here.lines().zip(there.lines()) {
        assert_eq!(mine, theirs, "\nhere: {here}\nredis: {there}");
    }
    assert_eq!(here, there);
}
