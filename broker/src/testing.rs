//! What tests of several parts begin with: a server on this machine, and a secret that may be read.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

/// Serves `app` at a free port of this machine, as long as the test's runtime lives; its URL.
pub(crate) async fn serve(app: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Writes a file that is its owner's alone.
pub(crate) fn secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
