use std::fmt;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::oneshot;

use crate::{Error, PrometheusObserver, Result};

/// How long a shutdown waits for requests under way.
const GRACE: Duration = Duration::from_secs(2);
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `GET /metrics` for Prometheus and `GET /healthz` for probes, on a thread and a small runtime of its own, so that a
/// host without async code can use it. Plain HTTP: put a proxy with TLS before it to leave the machine.
///
/// ```
/// use std::sync::Arc;
/// use tapeloom_track::{MetricsServer, PrometheusObserver};
/// let metrics = Arc::new(PrometheusObserver::new());
/// let server = MetricsServer::builder(Arc::clone(&metrics)).address(([127, 0, 0, 1], 0).into()).start()?;
/// println!("metrics on http://{}/metrics", server.address());
/// // ... give `metrics` to the trainer ...
/// server.shutdown();
/// # Ok::<(), tapeloom_track::Error>(())
/// ```
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Makes a [`MetricsServer`].
pub struct MetricsServerBuilder {
    observer: Arc<PrometheusObserver>,
    address: SocketAddr,
    token: Option<String>,
}

impl MetricsServer {
    /// A server of the observer's metrics.
    #[must_use]
    pub fn builder(observer: Arc<PrometheusObserver>) -> MetricsServerBuilder {
        MetricsServerBuilder { observer, address: (Ipv4Addr::LOCALHOST, 8000).into(), token: None }
    }

    /// The address that it really listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, lets requests under way end (2 seconds at most) and gives the port back. Dropping does the same.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        // The thread also ends when the sender is gone, so nothing is lost if it has ended already.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl MetricsServerBuilder {
    /// Where to listen; port 0 takes any free one. `127.0.0.1:8000` when not said. Whoever reaches another address than
    /// loopback reads the metrics unless there is a [`bearer_token`](Self::bearer_token).
    #[must_use]
    pub const fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Asks for `Authorization: Bearer <token>` on `/metrics`. `/healthz` stays open and tells nothing.
    #[must_use]
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Binds and serves.
    ///
    /// # Errors
    /// [`Error::Address`] when the address is taken or not this machine's; [`Error::Invalid`] when the token is empty or
    /// can't stand in a header; [`Error::Spawn`] when the system gives no thread.
    pub fn start(self) -> Result<MetricsServer> {
        if let Some(token) = &self.token
            && (token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(Error::Invalid {
                field: "bearer_token".into(),
                value: format!("({} bytes)", token.len()),
                remedy: "use visible ASCII characters without spaces, at least one".into(),
            });
        }
        let refused = |source| Error::Address { address: self.address, source };
        let listener = TcpListener::bind(self.address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let failed = |source| Error::Spawn { what: "the metrics server", source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(failed)?
        };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .with_state(Arc::new(Shared { observer: self.observer, token: self.token }));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("tapeloom-metrics".into())
            .spawn(move || runtime.block_on(serve(listener, router, stopped)))
            .map_err(failed)?;
        Ok(MetricsServer { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl fmt::Debug for MetricsServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsServerBuilder")
            .field("address", &self.address)
            .field("guarded", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

struct Shared {
    observer: Arc<PrometheusObserver>,
    token: Option<String>,
}

async fn serve(listener: tokio::net::TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let (close, closing) = oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = closing.await;
    });
    let deadline = async {
        let _ = stopped.await;
        let _ = close.send(());
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        _ = server => {}
        () = deadline => {}
    }
}

async fn metrics(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(token) = &shared.token
        && !presents(&headers, token)
    {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], "bearer token wanted\n")
            .into_response();
    }
    ([(header::CONTENT_TYPE, TEXT)], shared.observer.render()).into_response()
}

fn presents(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|text| text.split_once(' ')).is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case("bearer") && same(given.as_bytes(), token.as_bytes())
    })
}

/// Takes as long for a wrong token as for the right one of that length, so that timing tells nothing of its bytes.
fn same(given: &[u8], token: &[u8]) -> bool {
    let difference = given.iter().zip(token).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    given.len() == token.len() && black_box(difference) == 0
}
