//! The wish to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when somebody presses Ctrl-C, closes the terminal or ends this process politely. What was started is then
/// stopped by dropping it.
pub async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut stream) => drop(stream.recv().await),
            // Without a handler the signal ends the process, and everything we started ends with it (see launch.py).
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
