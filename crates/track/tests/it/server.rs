use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapeloom_core::Observer;
use tapeloom_track::{Error, MetricsServer, MetricsServerBuilder, PrometheusObserver};

use crate::exposition::Exposition;
use crate::support::{at, feed, run, step};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn builder(metrics: &Arc<PrometheusObserver>) -> MetricsServerBuilder {
    MetricsServer::builder(Arc::clone(metrics)).address(([127, 0, 0, 1], 0).into())
}

/// Status, headers and body of one HTTP request over a socket.
fn request(address: SocketAddr, path: &str, header: &str) -> Result<(u16, String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{header}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the headers")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok((status, head.to_lowercase(), body.to_owned()))
}

#[test]
fn a_scrape_over_http_shows_the_run() -> Result {
    let metrics = Arc::new(PrometheusObserver::new());
    feed(metrics.as_ref(), &run("run-1"));
    let server = builder(&metrics).start()?;
    assert_ne!(server.address().port(), 0);
    let (status, head, body) = request(server.address(), "/metrics", "")?;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let seen = Exposition::parse(&body)?;
    assert_eq!(seen.value("training_epoch", &[("run", "run-1")]), Some(2.0));
    metrics.observe(at(30.0), &step(3, 1, 0.25));
    let seen = Exposition::parse(&request(server.address(), "/metrics", "")?.2)?;
    assert_eq!(seen.value("training_loss", &[("run", "run-1")]), Some(0.25));
    Ok(())
}

#[test]
fn probes_and_wrong_paths_are_answered() -> Result {
    let server = builder(&Arc::default()).start()?;
    assert_eq!(request(server.address(), "/healthz", "")?.0, 200);
    assert_eq!(request(server.address(), "/metrics", "")?.0, 200);
    assert_eq!(request(server.address(), "/", "")?.0, 404);
    Ok(())
}

#[test]
fn only_the_bearer_of_the_token_reads_the_metrics() -> Result {
    let metrics = Arc::new(PrometheusObserver::new());
    feed(metrics.as_ref(), &run("run-1"));
    let server = builder(&metrics).bearer_token("s3cret").start()?;
    let status = |header: &str| request(server.address(), "/metrics", header);
    for header in [
        "",
        "Authorization: Bearer wrong!\r\n",
        "Authorization: Bearer s3cre\r\n",
        "Authorization: Bearer s3cret0\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Basic s3cret\r\n",
    ] {
        let (code, head, body) = status(header)?;
        assert_eq!(code, 401, "{header}");
        assert!(head.contains("www-authenticate: bearer") && !body.contains("run-1"), "{header}");
    }
    assert_eq!(status("Authorization: Bearer s3cret\r\n")?.0, 200);
    assert_eq!(status("authorization: bearer s3cret\r\n")?.0, 200);
    assert_eq!(request(server.address(), "/healthz", "")?.0, 200);
    Ok(())
}

#[test]
fn a_token_that_guards_nothing_is_refused_and_not_shown() {
    for token in ["", "two words", "line\nbreak"] {
        let error = builder(&Arc::default()).bearer_token(token).start().expect_err("a bad token");
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        assert!(token.is_empty() || !error.to_string().contains(token), "{error}");
    }
    let shown = format!("{:?}", builder(&Arc::default()).bearer_token("s3cret"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn a_taken_port_is_a_clear_error() -> Result {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let error = builder(&Arc::default()).address(address).start().expect_err("the port is taken");
    assert_eq!(error.to_string(), format!("could not listen on {address}: choose another port, or 0 for any free one"));
    Ok(())
}

#[test]
fn a_shutdown_gives_the_port_back_though_a_client_hangs_on() -> Result {
    let server = builder(&Arc::default()).start()?;
    let address = server.address();
    // One client keeps an idle connection, another one stops in the middle of its request.
    let _idle = TcpStream::connect(address)?;
    let mut stuck = TcpStream::connect(address)?;
    stuck.write_all(b"GET /metr")?;
    let started = Instant::now();
    server.shutdown();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(TcpStream::connect(address).is_err(), "the port still listens");
    builder(&Arc::default()).address(address).start()?;
    Ok(())
}

#[test]
fn it_can_live_inside_a_host_with_a_runtime() -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = builder(&Arc::default()).start()?;
        let address = server.address();
        let answer =
            tokio::task::spawn_blocking(move || request(address, "/healthz", "").map_err(|e| e.to_string())).await??;
        assert_eq!(answer.0, 200);
        server.shutdown();
        Ok(())
    })
}
