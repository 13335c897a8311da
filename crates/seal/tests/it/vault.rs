//! Against a server of the test's own that answers as Vault's documentation says; Vault itself is in no package index that tests
//! reach.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use tapeloom_seal::{Error, Result, Secret, SecretSource, VaultAgent};

/// Answers one request so, and gives what was asked.
fn server(answer: impl Into<Vec<u8>>) -> (VaultAgent, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let agent = VaultAgent::new(listener.local_addr().expect("bound"), "secret").expect("loopback");
    let answer = answer.into();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("read") == 1 {
            asked.push(byte[0]);
        }
        // A client that had enough may have hung up.
        let _ = stream.write_all(&answer);
        String::from_utf8(asked).expect("text")
    });
    (agent, thread)
}

fn json(status: &str, body: &str) -> String {
    format!("HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}")
}

const BODY: &str = r#"{"request_id":"1","data":{"data":{"value":"p\u0061ss","user":"kim"},"metadata":{"version":3}}}"#;

#[test]
fn a_secret_and_its_fields_are_read() -> Result<()> {
    for (name, want) in [("db/main", Some("pass")), ("db/main#user", Some("kim")), ("db/main#none", None)] {
        let (agent, thread) = server(json("200 OK", BODY));
        let agent = agent.token(Secret::new("hvs.token"))?;
        let found = agent.secret(name)?.map(|secret| secret.expose_text().map(str::to_owned)).transpose()?;
        assert_eq!(found.as_deref(), want);
        let asked = thread.join().expect("asked");
        assert!(
            asked.starts_with("GET /v1/secret/data/db/main HTTP/1.0\r\n")
                && asked.contains("\r\nX-Vault-Token: hvs.token\r\n")
        );
    }
    Ok(())
}

#[test]
fn what_is_not_there_is_none_and_what_fails_is_an_error() -> Result<()> {
    let (agent, thread) = server(json("404 Not Found", r#"{"errors":[]}"#));
    assert!(agent.secret("db")?.is_none());
    drop(thread.join());
    let noise = vec![b'x'; 2 << 20];
    for (answer, words) in [
        (json("403 Forbidden", "{}").into_bytes(), "may not read db"),
        (json("503 Sealed", "{}").into_bytes(), "status 503"),
        (json("200 OK", r#"{"data":{"data":{"value":5}}}"#).into_bytes(), "no set of texts"),
        (json("200 OK", "canary-secret").into_bytes(), "no set of texts"),
        (b"SSH-2.0\r\n\r\n".to_vec(), "web server"),
        (Vec::new(), "web server"),
        (noise, "web server"),
    ] {
        let (agent, thread) = server(answer);
        let error = agent.secret("db").expect_err(words).to_string();
        assert!(error.starts_with("vault: ") && error.contains(words) && !error.contains("canary"), "{error}");
        drop(thread.join());
    }
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    assert!(matches!(VaultAgent::new(gone, "secret")?.secret("db"), Err(Error::SourceFailed { .. })));
    Ok(())
}

#[test]
fn paths_and_addresses_that_lead_elsewhere_are_refused() -> Result<()> {
    let loopback = "127.0.0.1:1".parse().expect("an address");
    let agent = VaultAgent::new(loopback, "secret")?;
    for bad in ["", "../sys/seal", "a//b", "a b", "a?list=true", "a\r\nX: y", "..", "a/./b"] {
        assert!(matches!(agent.secret(bad), Err(Error::Invalid { .. })), "{bad:?}");
    }
    assert!(VaultAgent::new("10.0.0.1:8200".parse().expect("an address"), "secret").is_err());
    assert!(VaultAgent::new(loopback, "a/../b").is_err());
    assert!(agent.token(Secret::new("a\r\nX: y")).is_err());
    Ok(())
}
