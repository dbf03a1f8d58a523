//! Child processes that never outlive us.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const LAUNCH: &str = include_str!("launch.py");

/// How long a child may take to stop before it is killed. Longer than launch.py's own patience.
const PATIENCE: Duration = Duration::from_secs(5);

/// A child under launch.py. It ends, with everything that it started, when this is dropped, or when this process ends in
/// any way.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// A command for [`Process::start`]: Python from our tools running launch.py with these arguments.
pub(crate) fn launch(tools: &Path, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(tools.join("bin/python"));
    command.args(["-I", "-c", LAUNCH]).args(arguments);
    command
}

impl Process {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command
            // launch.py waits for the other end of this pipe to close.
            .stdin(Stdio::piped())
            // A group of its own: a Ctrl-C in the terminal reaches only us, and we stop it in order.
            .process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing only the child would leave behind what it started, so that comes last.
        drop(self.child.stdin.take());
        let started = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && started.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
