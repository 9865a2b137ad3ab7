//! The stock packages of the registry, connected to the engine in this process, beside a real server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use oxcart::{
    clock::Clock,
    embedded::{Embedded, Listener},
    testing::RedisServer,
};

/// Runs a scenario against a port and gives what it printed.
fn outcome(scenario: &str, port: u16) -> String {
    let output = Command::new("node")
        .arg(format!("{}/tests/embedded_clients/{scenario}.mjs", env!("CARGO_MANIFEST_DIR")))
        .arg(port.to_string())
        .output()
        .expect("node runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`npm ci` installs what this needs; the scenario said: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a scenario here and on a real server.
fn compare(scenario: &str) {
    let engine = Embedded::private(Clock::system());
    let listener = Listener::tcp(&engine, 0).unwrap();
    let here = outcome(scenario, listener.port().unwrap());
    let server = RedisServer::start();
    let there = outcome(scenario, server.port());
    for (mine, theirs) in here.lines().zip(there.lines()) {
        assert_eq!(mine, theirs, "\nhere: {here}\nredis: {there}");
    }
    assert_eq!(here, there);
}

#[test]
fn bullmq_and_ioredis_find_no_difference() {
    compare("bullmq");
}

#[test]
fn bull_finds_no_difference() {
    compare("bull");
}
